//! The generator: loading, and the trait.

use std::ops::ControlFlow;
use std::path::Path;

use burn::tensor::{Device, Int, Tensor};
use tessera_layers::checkpoint::{CheckpointError, Weights, save_module};
use tessera_layers::{Init, ParamSource, ParamSpec, Params, load_strict};
use tessera_tokenizers::{Fingerprint, LoadError, Tokens};

use super::config::NextScaleConfig;
use super::decode::{Choose, ScalePlan, decode, decode_given};
use super::{PRESETS, ScaleNetwork, ScalePrompt, preset};
use crate::kept::{Kept, read_ids};
use crate::sampling::draw;
use crate::{
    Condition, Content, GenerateOptions, Generated, Generator, GeneratorError, GeneratorInfo, GuidanceSchedule,
    Sampling, Step,
};

/// A generator over scales ready to sample.
pub struct ScaleGenerator {
    network: ScaleNetwork,
    config: NextScaleConfig,
    specs: Vec<ParamSpec>,
    info: GeneratorInfo,
    device: Device,
}

/// The tensors of a checkpoint, by name and shape; allocates no weights.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit together.
pub fn listing(config: &NextScaleConfig) -> Result<Vec<ParamSpec>, LoadError> {
    config.check()?;
    let source = ParamSource::listing();
    ScaleNetwork::new(&source.root(), config)?;
    Ok(source.into_taken())
}

/// Makes the generator of a checkpoint that holds exactly its tensors, the tokenizer's `quantizer` among them.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit or a tensor is missing, surplus, misshapen or not finite.
pub fn load(config: &NextScaleConfig, weights: &Weights, device: &Device) -> Result<ScaleGenerator, LoadError> {
    config.check()?;
    let make = |params: &Params| Ok::<_, LoadError>(ScaleNetwork::new(params, config)?);
    let (network, specs, _) = load_strict(weights, &[], device, make)?;
    Ok(ScaleGenerator::new(network, config, specs, device))
}

/// A generator with starting values drawn from `seed`.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit.
pub fn random(config: &NextScaleConfig, seed: u64, device: &Device) -> Result<ScaleGenerator, LoadError> {
    config.check()?;
    // Matrices start uniform in one over the root of their inputs, so that narrow networks have signals of some size.
    let start = |name: &str, shape: &[usize], init: Init| match shape {
        [_, inputs] if name.starts_with("ar.") && name.ends_with(".weight") && !name.contains("class_embed") => {
            Init::uniform_fan_in(*inputs)
        }
        _ => init,
    };
    let source = ParamSource::seeded_with(seed, device, &start);
    let network = ScaleNetwork::new(&source.root(), config)?;
    Ok(ScaleGenerator::new(network, config, source.into_taken(), device))
}

/// Writes the network's parameters (those of `specs`) as a checkpoint.
///
/// # Errors
/// [`CheckpointError`] if the file cannot be written or a value is not finite.
pub fn save(network: &ScaleNetwork, specs: &[ParamSpec], path: &Path) -> Result<(), CheckpointError> {
    save_module(network, specs, path, Default::default())
}

impl ScaleGenerator {
    /// A network of this configuration, its parameters by name and its device as a generator. The configuration must have passed
    /// [`NextScaleConfig::check`].
    pub fn new(network: ScaleNetwork, config: &NextScaleConfig, specs: Vec<ParamSpec>, device: &Device) -> Self {
        let vocab = vec![u32::try_from(config.quantizer.codebook_size).unwrap_or(u32::MAX)];
        let info = GeneratorInfo {
            preset: PRESETS.into_iter().find(|name| preset(name).as_ref() == Some(config)),
            classes: config.ar.classes,
            class_names: config.ar.class_names.clone(),
            words: config.ar.words.clone(),
            tokenizer: config.ar.tokenizer.as_deref().and_then(Fingerprint::from_hex),
            ..GeneratorInfo::new("next-scale", config.quantizer.layout(), Content::Codes { vocab })
        };
        Self { network, config: config.clone(), specs, info, device: device.clone() }
    }

    /// The network itself.
    pub fn network(&self) -> &ScaleNetwork {
        &self.network
    }

    /// Its configuration.
    pub fn config(&self) -> &NextScaleConfig {
        &self.config
    }

    /// Its parameters by name.
    pub fn specs(&self) -> &[ParamSpec] {
        &self.specs
    }

    /// Takes the network out, with its parameters' names, for training.
    pub fn into_network(self) -> (ScaleNetwork, Vec<ParamSpec>) {
        (self.network, self.specs)
    }

    /// The prompt of a condition.
    ///
    /// # Errors
    /// [`GeneratorError`] if the model takes other conditions, or does not know a class.
    pub fn prompt(&self, condition: &Condition) -> Result<ScalePrompt, GeneratorError> {
        ScalePrompt::of(&self.config.ar, condition, &self.device)
    }

    /// Ids `[rows, tokens]` that `choose` picks, all scales, with guidance that grows linearly to `1 + cfg` times the difference of
    /// conditional and unconditional logits.
    ///
    /// # Errors
    /// None of its own: the signature is that of decoding.
    pub fn decode(
        &self,
        prompt: &ScalePrompt,
        cfg: f32,
        choose: &mut Choose<'_>,
    ) -> Result<Tensor<2, Int>, GeneratorError> {
        let (plan, prompt) = self.plan(prompt, 1.0 + cfg, GuidanceSchedule::Linear, None);
        decode(&self.network, &prompt, &plan, choose, &mut |_| ControlFlow::Continue(()))
    }

    /// The plan, and the prompt with its unconditional rows where there is guidance.
    fn plan(
        &self,
        prompt: &ScalePrompt,
        scale: f32,
        schedule: GuidanceSchedule,
        interval: Option<usize>,
    ) -> (ScalePlan, ScalePrompt) {
        let is_guided = scale > 1.0 && !prompt.is_empty();
        let scales = self.config.quantizer.scales.len();
        let plan = ScalePlan { rows: prompt.rows(), is_guided, scale, schedule, interval, scales };
        (plan, if is_guided { prompt.with_unconditional() } else { prompt.clone() })
    }

    /// How many scales have `keep` tokens.
    fn scales_of(&self, keep: Option<usize>) -> Result<usize, GeneratorError> {
        let ends: Vec<usize> = self.network.quantizer().ranges().into_iter().map(|range| range.end).collect();
        let Some(keep) = keep else { return Ok(ends.len()) };
        ends.iter().position(|&end| end == keep).map(|place| place + 1).ok_or_else(|| GeneratorError::InvalidOption {
            option: "tokens",
            expected: format!("the tokens of one or more whole scales, a number of {ends:?}"),
            found: keep.to_string(),
        })
    }
}

impl Generator for ScaleGenerator {
    fn info(&self) -> &GeneratorInfo {
        &self.info
    }

    /// One step for each scale. Guidance grows linearly over the scales; where the options say nothing, its scale is `1 + cfg` and
    /// ids are drawn from `top_p` of the probability, both of the configuration.
    fn generate(
        &self,
        condition: &Condition,
        options: &GenerateOptions,
        on_step: &mut dyn FnMut(&Step<'_>) -> ControlFlow<()>,
    ) -> Result<Generated, GeneratorError> {
        let invalid = |option, expected: &str, found: String| {
            Err(GeneratorError::InvalidOption { option, expected: expected.to_owned(), found })
        };
        let prompt = self.prompt(condition)?;
        let rows = prompt.rows();
        if rows == 0 {
            return invalid("count", "at least one", "0".to_owned());
        }
        let usual = Sampling { temperature: None, top_k: None, top_p: Some(self.config.ar.top_p) };
        let sampling = options.sampling.or(usual);
        sampling.check()?;
        let scale = options.guidance_scale.unwrap_or(1.0 + self.config.ar.cfg);
        if !(scale >= 0.0 && scale.is_finite()) {
            return invalid("guidance", "a number from 0 on", scale.to_string());
        }
        let schedule = options.guidance_schedule.unwrap_or(GuidanceSchedule::Linear);
        let (plan, prompt) = self.plan(&prompt, scale, schedule, options.guidance_interval);
        let plan = ScalePlan { scales: self.scales_of(options.keep)?, ..plan };
        let positions: Vec<usize> = (0..self.config.quantizer.tokens()).collect();
        let kept = options.given.as_ref().map(|given| Kept::of(given, &self.info, rows, &positions, &self.device));
        let kept = kept.transpose()?;
        let mut choose = |conditional, unconditional, scale, step: usize| {
            draw(conditional, unconditional, scale, sampling, options.seed, step as u64)
        };
        let ids = decode_given(&self.network, &prompt, &plan, kept.as_ref(), &mut choose, on_step)?;
        let [_, found] = ids.dims();
        let missing = positions.len() - found;
        let ids = read_ids(ids)?;
        // Positions behind the last scale hold 0 and are not kept.
        let padded =
            ids.chunks(found.max(1)).flat_map(|row| row.iter().copied().chain(std::iter::repeat_n(0, missing)));
        let Content::Codes { vocab } = self.info.content.clone() else {
            return Err(GeneratorError::Unfit("a generator of codes without a vocabulary".to_owned()));
        };
        let fingerprint = self.info.tokenizer.unwrap_or_default();
        let tokens = Tokens::new(padded.collect(), rows, self.info.layout.clone(), vocab, fingerprint)?;
        Ok(Generated::Tokens(if missing > 0 { tokens.prefix(found)? } else { tokens }))
    }
}
