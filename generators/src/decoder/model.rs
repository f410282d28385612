//! The generator: loading, and the trait.

use std::ops::ControlFlow;

use burn::tensor::Device;
use tessera_layers::checkpoint::{CheckpointError, Weights};
use tessera_layers::{ParamResult, ParamSource, ParamSpec, Params, half_weights, load_strict};
use tessera_tokenizers::{ConfigError, Fingerprint, LoadError, TokenLayout, Tokens};

use super::{Arrangement, ConditionEmbedding, Decoder, DecoderConfig, ModelType, Plan};
use crate::kept::{Kept, read_ids};
use crate::{
    Condition, Content, GenerateOptions, Generated, Generator, GeneratorError, GeneratorInfo, Sampling, Step,
    next_token,
};

/// A next-token generator or a NAR, ready to sample.
pub struct DecoderGenerator {
    network: Decoder,
    config: DecoderConfig,
    info: GeneratorInfo,
}

/// A buffer of angles that a few old files carry; it is computed here.
pub const IGNORED: &str = "freqs_cis";

/// The tensors of a checkpoint, by released name and shape; allocates no weights.
///
/// # Errors
/// Whatever the source of the parameters reports.
pub fn listing(config: &DecoderConfig) -> ParamResult<Vec<ParamSpec>> {
    let source = ParamSource::listing();
    Decoder::new(&source.root(), config)?;
    Ok(source.into_taken())
}

/// Makes the generator of a checkpoint that holds exactly its tensors.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit or a tensor is missing, surplus, misshapen or not finite; it says so where the
/// file is a released LlamaGen or NAR of another size.
pub fn load(config: &DecoderConfig, weights: &Weights, device: &Device) -> Result<DecoderGenerator, LoadError> {
    config.check()?;
    // Releases of both kinds have the same file names.
    let has_second_head = weights.entries().iter().any(|entry| entry.name == "medusa_output.weight");
    if has_second_head != config.medusa_attention_num.is_some() {
        let (expected, found) = match has_second_head {
            true => ("the number of extra blocks: the file holds a NAR, with medusa_output.weight", "none".to_owned()),
            false => {
                let found = config.medusa_attention_num.unwrap_or(0).to_string();
                ("none: the file holds a plain next-token model, without medusa_output.weight", found)
            }
        };
        return Err(ConfigError::invalid("medusa_attention_num", expected, found).into());
    }
    let make = |params: &Params| Ok(Decoder::new(params, config)?);
    let loaded = load_strict::<_, LoadError>(weights, &[IGNORED], device, make);
    let (network, _, _) = loaded.map_err(|error| match error {
        LoadError::Checkpoint(CheckpointError::Mismatch { path, differences, .. }) => {
            let looks_like = next_token::release_of(&weights.entries()).map(str::to_owned);
            LoadError::Checkpoint(CheckpointError::Mismatch { path, differences, looks_like })
        }
        other => other,
    })?;
    DecoderGenerator::new(network, config)
}

/// A generator with starting values drawn from `seed`.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit.
pub fn random(config: &DecoderConfig, seed: u64, device: &Device) -> Result<DecoderGenerator, LoadError> {
    config.check()?;
    let source = ParamSource::seeded(seed, device);
    DecoderGenerator::new(Decoder::new(&source.root(), config)?, config)
}

impl DecoderGenerator {
    /// A network of this configuration as a generator.
    ///
    /// # Errors
    /// [`LoadError`] if the configuration does not fit together.
    pub fn new(network: Decoder, config: &DecoderConfig) -> Result<Self, LoadError> {
        config.check()?;
        let vocab = u32::try_from(config.vocab_size).unwrap_or(u32::MAX);
        let architecture = if config.medusa_attention_num.is_some() { "nar" } else { "next-token" };
        let content = Content::Codes { vocab: vec![vocab] };
        let info = GeneratorInfo {
            classes: (config.model_type == ModelType::Classes).then_some(config.num_classes),
            words: config.words.clone(),
            tokenizer: config.tokenizer.as_deref().and_then(Fingerprint::from_hex),
            ..GeneratorInfo::new(architecture, config.token_layout()?, content)
        };
        Ok(Self { network, config: config.clone(), info })
    }

    /// The network itself.
    pub fn network(&self) -> &Decoder {
        &self.network
    }

    /// Its configuration.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// What the official demonstrations draw with: 2000 of the classes' models' most likely codes, 1000 of the text models'.
    fn usual_sampling(&self) -> Sampling {
        let top_k = if self.config.model_type == ModelType::Classes { 2000 } else { 1000 };
        self.config.sampling.unwrap_or(Sampling { top_k: Some(top_k), ..Sampling::default() })
    }

    fn plan(&self, options: &GenerateOptions) -> Result<Plan, GeneratorError> {
        let steps = self.network.order().steps().len();
        match (options.keep, self.config.arrangement()) {
            (None, _) => self.plan_of(options, steps),
            (Some(keep), arrangement) => {
                // In the order of a line any prefix is a number of steps.
                let len = match arrangement {
                    Ok(Arrangement::Grid(_)) | Err(_) => None,
                    Ok(_) => self.network.order().is_line().then_some(self.config.block_size),
                };
                let expected = match len {
                    Some(len) if (1..=len).contains(&keep) => return self.plan_of(options, keep),
                    Some(len) => format!("1 to {len} tokens"),
                    None => "none: the tokens of a grid, or of scales by diagonals, have no leading ones".to_owned(),
                };
                Err(GeneratorError::InvalidOption { option: "tokens", expected, found: keep.to_string() })
            }
        }
    }

    fn plan_of(&self, options: &GenerateOptions, steps: usize) -> Result<Plan, GeneratorError> {
        options.sampling.check()?;
        let guidance = if self.config.model_type == ModelType::Classes { 4.0 } else { 7.5 };
        let scale = options.guidance_scale.or(self.config.guidance_scale).unwrap_or(guidance);
        if !(scale >= 0.0 && scale.is_finite()) {
            let expected = "a number from 0 on".to_owned();
            return Err(GeneratorError::InvalidOption { option: "guidance", expected, found: scale.to_string() });
        }
        Ok(Plan {
            scale,
            schedule: options.guidance_schedule.unwrap_or(self.config.guidance_schedule),
            interval: options.guidance_interval,
            sampling: options.sampling.or(self.usual_sampling()),
            seed: options.seed,
            steps,
        })
    }
}

impl Generator for DecoderGenerator {
    fn info(&self) -> &GeneratorInfo {
        &self.info
    }

    fn halve_weights(&mut self) -> bool {
        self.network = half_weights(self.network.clone());
        true
    }

    /// One step for each token, or for each anti-diagonal of a NAR. Where neither the options nor the configuration say how, the
    /// guidance scale is 4 for classes and 7.5 for text, and ids are drawn from the 2000 or 1000 most likely (the official
    /// demonstrations' settings). `guidance_interval` counts decoding steps, of a NAR tokens.
    fn generate(
        &self,
        condition: &Condition,
        options: &GenerateOptions,
        on_step: &mut dyn FnMut(&Step<'_>) -> ControlFlow<()>,
    ) -> Result<Generated, GeneratorError> {
        let plan = self.plan(options)?;
        let prompt = ConditionEmbedding::prompt_of(&self.config, condition, &self.network.device())?;
        let rows = prompt.rows();
        if rows == 0 {
            let expected = "at least one".to_owned();
            return Err(GeneratorError::InvalidOption { option: "count", expected, found: "0".to_owned() });
        }
        let (order, device) = (self.network.order(), self.network.device());
        let kept = options.given.as_ref();
        let kept = kept.map(|given| Kept::of(given, &self.info, rows, order.positions(), &device)).transpose()?;
        let ids = read_ids(self.network.sample(&prompt, &plan, kept.as_ref(), on_step)?)?;
        let Content::Codes { vocab } = &self.info.content else {
            return Err(GeneratorError::Unfit("a generator of codes".to_owned()));
        };
        let fingerprint = self.info.tokenizer.unwrap_or_default();
        let tokens = Tokens::new(ids, rows, self.info.layout.clone(), vocab.clone(), fingerprint)?;
        let is_line = !matches!(self.info.layout, TokenLayout::Grid { .. }) && self.network.order().is_line();
        let is_cut = is_line && options.keep.is_some_and(|keep| keep < tokens.positions());
        Ok(Generated::Tokens(if is_cut { tokens.prefix(plan.steps)? } else { tokens }))
    }
}
