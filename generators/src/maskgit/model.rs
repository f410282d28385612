//! The MaskGIT generator: network, settings and loading.

use std::ops::ControlFlow;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use serde_json::Value;
use tessera_layers::checkpoint::Weights;
use tessera_layers::{ParamResult, ParamSource, ParamSpec, Params, Trace, load_strict};
use tessera_tokenizers::{Fingerprint, LoadError, TokenLayout, Tokens};

use super::bert::Bert;
use super::uvit::UVit;
use super::{MaskGitConfig, ModelType, RandomDraws, SamplingConfig, sample};
use crate::{Condition, Content, GenerateOptions, Generated, Generator, GeneratorError, GeneratorInfo, Step};

/// Either network.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "a program holds one or two")]
pub enum MaskGitNetwork {
    /// BERT encoder.
    Bert(Bert),
    /// U-shaped ViT.
    UVit(UVit),
}

impl MaskGitNetwork {
    /// Takes every tensor of a released checkpoint.
    pub fn new(params: &Params, config: &MaskGitConfig) -> ParamResult<Self> {
        match config.model_type {
            ModelType::ViT => Bert::new(params, config).map(Self::Bert),
            ModelType::UViT => UVit::new(params, config).map(Self::UVit),
        }
    }

    /// Ids `[batch, 1 + positions]`, the class id first, to logits `[batch, positions, codes]`.
    pub fn forward(&self, ids: Tensor<2, Int>, trace: &mut Trace) -> Tensor<3> {
        match self {
            Self::Bert(network) => network.forward(ids, trace),
            Self::UVit(network) => network.forward(ids, trace),
        }
    }
}

/// A MaskGIT generator ready to sample.
pub struct MaskGit {
    /// The network.
    pub network: MaskGitNetwork,
    /// Its sizes.
    pub config: MaskGitConfig,
    /// Settings of the release.
    pub sampling: SamplingConfig,
    info: GeneratorInfo,
    device: Device,
}

/// Old exports carry this index buffer; it holds no weight.
const IGNORED: &str = "model.embeddings.position_ids";

/// The tensors of a checkpoint, by released name and shape; allocates no weights.
///
/// # Errors
/// Whatever the source of the parameters reports.
pub fn listing(config: &MaskGitConfig) -> ParamResult<Vec<ParamSpec>> {
    let source = ParamSource::listing();
    MaskGitNetwork::new(&source.root(), config)?;
    Ok(source.into_taken())
}

/// Loads a released generator: its configuration document and its weights.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit or the tensors are not exactly those of the model.
pub fn load(document: &Value, weights: &Weights, device: &Device) -> Result<MaskGit, LoadError> {
    let config = MaskGitConfig::from_value(document)?;
    let make = |params: &Params| Ok(MaskGitNetwork::new(params, &config)?);
    let (network, _, _) = load_strict::<_, LoadError>(weights, &[IGNORED], device, make)?;
    let sampling = SamplingConfig::from_value(document);
    Ok(MaskGit { network, sampling, device: device.clone(), info: info(&config), config })
}

/// A generator with starting values, for training and for tests.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit.
pub fn random(document: &Value, seed: u64, device: &Device) -> Result<MaskGit, LoadError> {
    let config = MaskGitConfig::from_value(document)?;
    let source = ParamSource::seeded(seed, device);
    let network = MaskGitNetwork::new(&source.root(), &config)?;
    let sampling = SamplingConfig::from_value(document);
    Ok(MaskGit { network, sampling, device: device.clone(), info: info(&config), config })
}

impl MaskGit {
    fn sampling(&self, options: &GenerateOptions) -> Result<SamplingConfig, GeneratorError> {
        let mut sampling = self.sampling.clone();
        sampling.num_sample_steps = options.steps.unwrap_or(sampling.num_sample_steps);
        sampling.guidance_scale = options.guidance_scale.unwrap_or(sampling.guidance_scale);
        sampling.randomize_temperature = options.sampling.temperature.unwrap_or(sampling.randomize_temperature);
        if sampling.num_sample_steps == 0 {
            let expected = "at least 1".to_owned();
            return Err(GeneratorError::InvalidOption { option: "steps", expected, found: "0".to_owned() });
        }
        Ok(sampling)
    }

    fn classes(&self, condition: &Condition) -> Result<Vec<Option<usize>>, GeneratorError> {
        let classes = self.config.condition_num_classes;
        match condition {
            Condition::Unconditional(samples) => Ok(vec![None; *samples]),
            Condition::Classes(wanted) => wanted
                .iter()
                .map(|&class| {
                    let index = usize::try_from(class).ok().filter(|&index| index < classes);
                    index.map(Some).ok_or(GeneratorError::UnknownClass { class, classes })
                })
                .collect(),
            other => Err(GeneratorError::UnfitCondition {
                expected: format!("classes 0..{classes}"),
                found: other.kind().to_owned(),
            }),
        }
    }
}

impl Generator for MaskGit {
    fn info(&self) -> &GeneratorInfo {
        &self.info
    }

    fn generate(
        &self,
        condition: &Condition,
        options: &GenerateOptions,
        on_step: &mut dyn FnMut(&Step<'_>) -> ControlFlow<()>,
    ) -> Result<Generated, GeneratorError> {
        let sampling = self.sampling(options)?;
        let classes = self.classes(condition)?;
        let mut draws = RandomDraws::new(options.seed);
        let ids = sample(&self.network, &self.config, &sampling, &classes, &mut draws, &self.device, on_step)?;
        let vocab = vec![self.config.codebook_size as u32];
        let tokens = Tokens::new(ids, classes.len(), self.info.layout.clone(), vocab, Fingerprint::default())?;
        Ok(Generated::Tokens(tokens))
    }
}

fn info(config: &MaskGitConfig) -> GeneratorInfo {
    let layout = TokenLayout::Ordered { len: config.image_seq_len as u32 };
    let content = Content::Codes { vocab: vec![config.codebook_size as u32] };
    GeneratorInfo { classes: Some(config.condition_num_classes), ..GeneratorInfo::new("maskgit", layout, content) }
}
