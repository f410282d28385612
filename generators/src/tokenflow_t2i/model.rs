//! The generator: loading, and the trait.

use std::ops::ControlFlow;
use std::path::Path;

use burn::tensor::Device;
use tessera_layers::checkpoint::{Weights, locate};
use tessera_layers::{ParamSource, ParamSpec, Params, load_strict};
use tessera_tokenizers::tokenflow::{self, Scales, SharedCodes, SharedQuantizer};
use tessera_tokenizers::{ConfigError, Fingerprint, LoadError, Tokens};

use super::decoding::Source;
use super::{Greedy, Strategy, T2iPlan, T2iPrompt, TokenFlowT2iConfig, TokenFlowT2iNetwork};
use crate::kept::{Kept, read_ids};
use crate::{
    Condition, Content, GenerateOptions, Generated, Generator, GeneratorError, GeneratorInfo, GuidanceSchedule,
    Sampling, Step,
};

/// TokenFlow's generator, ready to sample.
pub struct TokenFlowT2i {
    network: TokenFlowT2iNetwork,
    codes: SharedCodes,
    scales: Scales,
    config: TokenFlowT2iConfig,
    info: GeneratorInfo,
}

/// Numbers that released files carry beside the weights: the ids that codes begin and end with.
pub const IDS: [&str; 2] = ["image_token_start", "image_token_end"];
/// The tokenizer's weights beside those of the generator.
const TOKENIZER_FILE: &str = "tokenizer.safetensors";

/// The tensors of a checkpoint, by released name and shape; allocates no weights.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit together.
pub fn listing(config: &TokenFlowT2iConfig) -> Result<Vec<ParamSpec>, LoadError> {
    config.check()?;
    let source = ParamSource::listing();
    TokenFlowT2iNetwork::new(&source.root(), config)?;
    Ok(source.into_taken())
}

/// Makes the generator of a checkpoint that holds exactly its tensors; the tokenizer's codebooks come from the file that
/// `mm_vision_tower` names, or from `tokenizer.safetensors` beside the weights.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit, the tokenizer is not found, or a tensor is missing, surplus, misshapen or not
/// finite.
pub fn load(config: &TokenFlowT2iConfig, weights: &Weights, device: &Device) -> Result<TokenFlowT2i, LoadError> {
    config.check()?;
    let folder = weights.path().parent().unwrap_or(Path::new(""));
    let beside = folder.join(TOKENIZER_FILE);
    let path = match &config.mm_vision_tower {
        // A path is meant from where the configuration lies.
        Some(named) if folder.join(named).exists() => locate(&folder.join(named).to_string_lossy())?.weights,
        _ if beside.is_file() => beside,
        Some(named) => locate(named)?.weights,
        None => {
            let expected =
                format!("the tokenizer's weights (file, folder or hub id), or a file {TOKENIZER_FILE} beside");
            return Err(ConfigError::invalid("mm_vision_tower", expected, "neither").into());
        }
    };
    let codes = tokenflow::codes(&config.tokenizer, &Weights::open(&path)?, device)?;
    load_with(config, weights, codes, device)
}

/// [`load`] with the tokenizer's codes.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit or a tensor is missing, surplus, misshapen or not finite.
pub fn load_with(
    config: &TokenFlowT2iConfig,
    weights: &Weights,
    codes: SharedCodes,
    device: &Device,
) -> Result<TokenFlowT2i, LoadError> {
    config.check()?;
    let make = |params: &Params| Ok(TokenFlowT2iNetwork::new(params, config)?);
    let (network, _, _) = load_strict::<_, LoadError>(weights, &IDS, device, make)?;
    TokenFlowT2i::new(network, codes, config)
}

/// A generator and codes with starting values drawn from `seed`.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit.
pub fn random(config: &TokenFlowT2iConfig, seed: u64, device: &Device) -> Result<TokenFlowT2i, LoadError> {
    config.check()?;
    let source = ParamSource::seeded(seed, device);
    let (tokenizer, at) = (&config.tokenizer, source.root().at("tokenizer"));
    let widths = [tokenizer.semantic_code_dim, tokenizer.codebook_embed_dim];
    let codes = SharedQuantizer::new(&at, tokenizer.codebook_size, widths, tokenizer.commit_loss_beta)?.codes();
    TokenFlowT2i::new(TokenFlowT2iNetwork::new(&source.root(), config)?, codes, config)
}

impl TokenFlowT2i {
    /// A network of this configuration as a generator.
    ///
    /// # Errors
    /// [`LoadError`] if the configuration does not fit together, or the codes are another tokenizer's.
    pub fn new(
        network: TokenFlowT2iNetwork,
        codes: SharedCodes,
        config: &TokenFlowT2iConfig,
    ) -> Result<Self, LoadError> {
        config.check()?;
        let tokenizer = &config.tokenizer;
        let sizes = [tokenizer.codebook_size, tokenizer.semantic_code_dim, tokenizer.codebook_embed_dim];
        if codes.sizes() != sizes {
            let expected = format!("codes of sizes {sizes:?}");
            return Err(ConfigError::invalid("tokenizer", expected, format!("{:?}", codes.sizes())).into());
        }
        let scales = tokenizer.scales();
        let content = Content::Codes { vocab: vec![u32::try_from(tokenizer.codebook_size).unwrap_or(u32::MAX)] };
        let mut info = GeneratorInfo::new("tokenflow-t2i", scales.layout(), content);
        let same = |name: &&str| super::preset(name).is_some_and(|preset| preset.llm == config.llm);
        info.words = config.words.clone();
        info.tokenizer = config.learnt.as_deref().and_then(Fingerprint::from_hex);
        info.preset = super::PRESETS.into_iter().find(same);
        Ok(Self { network, codes, scales, config: config.clone(), info })
    }

    /// The network itself.
    pub fn network(&self) -> &TokenFlowT2iNetwork {
        &self.network
    }

    /// The pairs of codes that it reads.
    pub fn codes(&self) -> &SharedCodes {
        &self.codes
    }

    /// The scales that it makes.
    pub fn scales(&self) -> &Scales {
        &self.scales
    }

    /// Its configuration.
    pub fn config(&self) -> &TokenFlowT2iConfig {
        &self.config
    }

    /// Id of padding, and of code 0: what [`T2iPrompt`] needs to know.
    pub fn special_ids(&self) -> [u32; 2] {
        self.config.special_ids()
    }

    /// The most likely codes at each of `steps` steps of a scale, with the release's guidance `cfg`.
    ///
    /// # Errors
    /// None of its own: the signature is that of decoding.
    pub fn greedy(&self, prompt: &T2iPrompt, cfg: f64, steps: usize) -> Result<Greedy, GeneratorError> {
        let plan = T2iPlan {
            scale: (1.0 + cfg) as f32,
            schedule: GuidanceSchedule::Linear,
            interval: None,
            steps: vec![Sampling::GREEDY; steps],
            seed: 0,
            scales: self.scales.sides().len(),
        };
        self.source().greedy(prompt, &plan)
    }

    fn source(&self) -> Source<'_> {
        Source { network: &self.network, codes: &self.codes, scales: &self.scales }
    }

    fn plan(&self, options: &GenerateOptions) -> Result<T2iPlan, GeneratorError> {
        options.sampling.check()?;
        let wrong = |option, expected: String, found: String| GeneratorError::InvalidOption { option, expected, found };
        let strategy = Strategy::released(options.steps.unwrap_or(3)).ok_or_else(|| {
            let found = options.steps.unwrap_or(0).to_string();
            wrong("steps", "1, 2 or 3 sampling steps of a scale".to_owned(), found)
        })?;
        let mut steps = strategy.steps()?;
        if options.sampling.temperature == Some(0.0) {
            steps.fill(Sampling::GREEDY);
        } else if let Some(first) = steps.first_mut() {
            *first = options.sampling.or(*first);
        }
        let scales = match options.keep {
            None => self.scales.sides().len(),
            Some(keep) => self.scales.within(keep).ok_or_else(|| {
                let expected = format!("whole scales: one of {:?} tokens", self.scales.ends());
                wrong("keep", expected, keep.to_string())
            })?,
        };
        Ok(T2iPlan {
            scale: options.guidance_scale.unwrap_or((1.0 + self.config.sampling.cfg) as f32),
            schedule: options.guidance_schedule.unwrap_or(GuidanceSchedule::Linear),
            interval: options.guidance_interval,
            steps,
            seed: options.seed,
            scales,
        })
    }
}

impl Generator for TokenFlowT2i {
    fn info(&self) -> &GeneratorInfo {
        &self.info
    }

    /// `steps` are the sampling steps of a scale, 1 to 3, each with the filters of the release; filters that are asked for are
    /// those of the first step. `keep` ends behind so many tokens, which are whole scales.
    fn generate(
        &self,
        condition: &Condition,
        options: &GenerateOptions,
        on_step: &mut dyn FnMut(&Step<'_>) -> ControlFlow<()>,
    ) -> Result<Generated, GeneratorError> {
        let (prompt, plan) = (T2iPrompt::of(condition, self.special_ids(), self.config.words())?, self.plan(options)?);
        let (rows, tokens) = (prompt.rows(), self.scales.tokens());
        let positions: Vec<usize> = (0..tokens).collect();
        let kept =
            options.given.as_ref().map(|given| Kept::of(given, &self.info, rows, &positions, &self.network.device()));
        let ids = self.source().sample(&prompt, &plan, kept.transpose()?.as_ref(), on_step)?;
        let [_, made] = ids.dims();
        let ids = read_ids(ids)?;
        let whole = ids
            .chunks(made.max(1))
            .flat_map(|row| row.iter().copied().chain(std::iter::repeat_n(0, tokens - made)).collect::<Vec<u32>>());
        let Content::Codes { vocab } = &self.info.content else {
            return Err(GeneratorError::Unfit("a generator of codes without a vocabulary".to_owned()));
        };
        let layout = self.info.layout.clone();
        let made_tokens =
            Tokens::new(whole.collect(), rows, layout, vocab.clone(), self.info.tokenizer.unwrap_or_default())?;
        Ok(Generated::Tokens(made_tokens.prefix(made)?))
    }
}
