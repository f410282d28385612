//! Configuration of a FlexTok, as its releases carry it.

use serde_json::{Value, json};
use tessera_shaders::{MAX_FSQ_DIM, MAX_FSQ_LEVEL};

use super::section::Section;
use super::targets::{self, CHAIN, DECODER, ENCODER, FLEXTOK, FSQ, Module, NOISE, PIPELINE, VAE};
use crate::ConfigError;
use crate::autoencoder_kl::{self, AutoencoderKlConfig};
use crate::patch_dct::PatchDctConfig;

/// What is read of a released configuration. Everything else in one is wiring, which is the same in all of them and checked.
///
/// Some keys do not occur in released files: `vae.architecture` holds the autoencoder's own configuration in place of a
/// path to it, `output_mult` and `width_mult` stand beside `use_mup_readout`, `register_mix` says what registers
/// start from, and `sampling` holds defaults for decoding.
#[derive(Debug, Clone, PartialEq)]
pub struct FlexTokConfig {
    /// The autoencoder between pixels and latents.
    pub vae: VaeConfig,
    /// Latents to registers.
    pub encoder: TrunkConfig,
    /// Registers and noised latents to velocities.
    pub decoder: TrunkConfig,
    /// Registers, the longest token sequence.
    pub registers: usize,
    /// FSQ levels of each dimension of a code.
    pub levels: Vec<u32>,
    /// Share of items that training does not round.
    pub drop_quant_p: f64,
    /// How many tokens training keeps.
    pub keep: KeepSampling,
    /// Share of items whose registers training replaces by the null condition.
    pub null_probability: f64,
    /// Width of the sinusoids of time.
    pub time_frequencies: usize,
    /// The time that the sinusoids are scaled to; time runs from 0 to 1 all the same.
    pub max_timestep: f64,
    /// Times that training draws.
    pub noise: NoiseConfig,
    /// What registers start from beside their learned vectors; no release has it.
    pub register_mix: Option<RegisterMix>,
    /// How to decode where nothing else is asked for.
    pub sampling: SamplingConfig,
}

/// The autoencoder of a FlexTok.
#[derive(Debug, Clone, PartialEq)]
pub struct VaeConfig {
    /// How it makes latents.
    pub architecture: LatentConfig,
    /// What latents are multiplied by; the architecture's own factor where this is absent or zero.
    pub scaling_factor: Option<f64>,
    /// Whether encoding draws from the posterior instead of taking its mean.
    pub sample_posterior: bool,
}

/// How latents are made of pixels.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant, reason = "a program holds one or two")]
pub enum LatentConfig {
    /// By a trained autoencoder: every release.
    AutoencoderKl(AutoencoderKlConfig),
    /// By a fixed transform, for small models.
    PatchDct(PatchDctConfig),
}

impl LatentConfig {
    /// Channels of the latents.
    pub fn channels(&self) -> usize {
        match self {
            Self::AutoencoderKl(config) => config.latent_channels,
            Self::PatchDct(config) => config.channels(),
        }
    }

    /// Pixels along one side of a latent cell.
    pub fn cell(&self) -> usize {
        match self {
            Self::AutoencoderKl(config) => config.downsampling(),
            Self::PatchDct(config) => config.patch,
        }
    }

    fn from_value(document: &Value) -> Result<Self, ConfigError> {
        match PatchDctConfig::recognises(document) {
            true => PatchDctConfig::from_value(document).map(Self::PatchDct),
            false => AutoencoderKlConfig::from_value(document).map(Self::AutoencoderKl),
        }
    }

    pub(super) fn to_value(&self) -> Value {
        match self {
            Self::AutoencoderKl(config) => config.to_value(),
            Self::PatchDct(config) => config.to_value(),
        }
    }
}

impl VaeConfig {
    /// What latents are multiplied by.
    ///
    /// # Errors
    /// [`ConfigError`] if neither configuration says.
    pub fn scale(&self) -> Result<f64, ConfigError> {
        let given = self.scaling_factor.filter(|factor| *factor != 0.0);
        let own = match &self.architecture {
            LatentConfig::AutoencoderKl(config) => config.scaling_factor,
            LatentConfig::PatchDct(config) => config.scaling_factor.or(Some(1.0)),
        };
        given.or(own).filter(|factor| *factor > 0.0 && factor.is_finite()).ok_or_else(|| {
            ConfigError::invalid("vae.scaling_factor", "a positive number, here or in the VAE's own config", "none")
        })
    }
}

/// One of the two transformers.
#[derive(Debug, Clone, PartialEq)]
pub struct TrunkConfig {
    /// Channels.
    pub dim: usize,
    /// Blocks.
    pub depth: usize,
    /// Channels of a head.
    pub head_dim: usize,
    /// Height and width of a patch, in latent cells.
    pub patch: [usize; 2],
    /// Rows and columns of patches that have a position.
    pub max_sizes: [usize; 2],
    /// Whether registers see only themselves and those before them (the encoder of every release).
    pub is_causal: bool,
    /// What a muP readout multiplies its input by; `None` for a plain one.
    pub mup: Option<MupReadout>,
}

/// Factors of a muP readout: its input is multiplied by `output_mult / width_mult`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MupReadout {
    /// Tuned on the base width.
    pub output_mult: f64,
    /// This width over the base width.
    pub width_mult: f64,
}

/// What registers hold before the first block, beside their learned vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegisterMix {
    /// Register `n` starts from the `n`-th lowest spatial frequency of the patches (orthonormal 2D DCT-II), and the decoder's
    /// patches from the inverse transform of the registers that are there. Adds no parameter. The plain form ignores its
    /// registers for long at the start of a training.
    Dct,
}

/// How many tokens nested dropout keeps of `K`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepSampling {
    /// Uniform in `1..=K`.
    Uniform,
    /// Uniform among the powers of two up to `K`, and `K`.
    Pow2,
    /// Uniform in `1..=K`, rounded up to a power of two, at most `K`.
    UniformPow2,
}

impl KeepSampling {
    const NAMES: [(&'static str, Self); 3] =
        [("uniform", Self::Uniform), ("pow2", Self::Pow2), ("uniform_pow2", Self::UniformPow2)];

    pub(super) fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, mode)| *mode == self).map_or("uniform", |(name, _)| name)
    }
}

/// Times that training draws: uniform, normal through the logistic function, or SD3's mode sampling.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NoiseConfig {
    /// The logistic function of a standard normal.
    pub logit_normal: bool,
    /// Normals of a batch from equal shares of the distribution.
    pub stratified: bool,
    /// Weight of the mode; 0 is uniform. Without effect where `logit_normal`.
    pub mode_scale: f64,
}

/// Defaults for decoding.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SamplingConfig {
    /// Euler steps.
    pub steps: usize,
    /// Guidance scale.
    pub guidance: f64,
    /// Whether guidance is projected (APG).
    pub projected: bool,
}

impl Default for SamplingConfig {
    /// What the release recommends: 20 steps, scale 7.5, projected.
    fn default() -> Self {
        Self { steps: 20, guidance: 7.5, projected: true }
    }
}

const MOST_WIDTH: usize = 1 << 14;
const MOST_DEPTH: usize = 1 << 10;
const MOST_SIDE: usize = 1 << 12;
const MOST_TOKENS: usize = 1 << 16;
const MOST_STEPS: usize = 10_000;

impl FlexTokConfig {
    /// Whether a document is a FlexTok's.
    pub fn describes(document: &Value) -> bool {
        let inner = document.get("config").unwrap_or(document);
        let named = inner.get("_target_").and_then(Value::as_str) == Some(FLEXTOK);
        named || ["encoder", "decoder", "regularizer", "vae"].iter().all(|key| inner.get(key).is_some())
    }

    /// Reads a released configuration, from `config.json` or from the metadata of the weights.
    ///
    /// The autoencoder's own configuration must stand under `vae.architecture` (see [`resolve_vae`](super::resolve_vae));
    /// without it the released base configuration holds.
    ///
    /// # Errors
    /// [`ConfigError`] naming the key that is missing, does not fit or asks for what is not built, or a class that is not on
    /// the list.
    pub fn from_value(document: &Value) -> Result<Self, ConfigError> {
        let document = document.get("config").unwrap_or(document);
        targets::check(document)?;
        let root = Section::root(document);
        if root.get("_target_").is_some() {
            root.target(FLEXTOK)?;
        }
        let (encoder, decoder) = (chain(&root, "encoder", &ENCODER)?, chain(&root, "decoder", &DECODER)?);
        let regularizer = root.at("regularizer")?;
        regularizer.target(FSQ)?;
        let registers = register_count(&encoder)?;
        let levels = levels(&regularizer)?;
        let channels = encoder.at("enc_patch_emb")?.count("channels_in", MOST_WIDTH)?;
        let pipeline = root.at("pipeline")?;
        pipeline.target(PIPELINE)?;
        pipeline.agree("out_channels", pipeline.count("out_channels", MOST_WIDTH)?, channels, "the encoder")?;
        let embedder = decoder.at("dec_time_embedder")?;
        let dropout = decoder.at("dec_latent_dropout")?;
        let config = Self {
            vae: vae(&root.at("vae")?, channels)?,
            encoder: encoder_trunk(&encoder, levels.len())?,
            decoder: decoder_trunk(&decoder, channels, levels.len(), registers)?,
            registers,
            levels,
            drop_quant_p: share(&regularizer, "drop_quant_p", 0.0)?,
            keep: keep_sampling(&decoder.at("dec_nested_dropout")?)?,
            null_probability: share(&dropout, "dropout_prob", 0.0)?,
            time_frequencies: embedder.count_or("frequency_embedding_size", MOST_WIDTH, 256)?,
            max_timestep: max_timestep(&embedder)?,
            noise: noise(&root)?,
            register_mix: register_mix(&root)?,
            sampling: sampling(&root)?,
        };
        if share(&regularizer, "corrupt_tokens_p", 0.0)? != 0.0 {
            return Err(ConfigError::Unsupported(
                "config key \"regularizer.corrupt_tokens_p\" is not 0: no release trains so, and tessera does not"
                    .to_owned(),
            ));
        }
        Ok(config)
    }

    /// Sides of the largest picture, height and width in pixels.
    pub fn image_size(&self) -> [usize; 2] {
        let cell = self.vae.architecture.cell();
        let [rows, columns] = self.encoder.max_sizes;
        let [height, width] = self.encoder.patch;
        [rows * height * cell, columns * width * cell]
    }

    /// Pixels that both sides of a picture must be a multiple of, height and width.
    pub fn pixels_of_patch(&self) -> [usize; 2] {
        let cell = self.vae.architecture.cell();
        self.encoder.patch.map(|side| side * cell)
    }

    /// Codes: the product of the levels.
    pub fn codes(&self) -> u32 {
        self.levels.iter().product()
    }
}

/// The modules of one chain: exactly those that every release has, each of its class.
fn chain<'a>(root: &Section<'a>, name: &str, modules: &[Module]) -> Result<Section<'a>, ConfigError> {
    let section = root.at(name)?;
    section.target(CHAIN)?;
    let chain = section.at("module_dict")?;
    for (key, class) in modules {
        chain.at(key)?.target(class)?;
    }
    match chain.keys().into_iter().find(|key| modules.iter().all(|(name, _)| name != key)) {
        None => Ok(chain),
        Some(other) => Err(ConfigError::Unsupported(format!(
            "config key \"{name}.module_dict.{other}\": a module that no released FlexTok has, and that tessera does not build"
        ))),
    }
}

fn vae(section: &Section, channels: usize) -> Result<VaeConfig, ConfigError> {
    section.target(VAE)?;
    section.only("force_vae_encode", &json!(false))?;
    let architecture = match section.get("architecture") {
        Some(document) => LatentConfig::from_value(document)?,
        None => {
            let channels = section.count_or("latent_channels", MOST_WIDTH, channels)?;
            LatentConfig::AutoencoderKl(autoencoder_kl::flextok(channels))
        }
    };
    section.agree("latent_channels", architecture.channels(), channels, "the encoder")?;
    let vae = VaeConfig {
        architecture,
        scaling_factor: section.number("scaling_factor")?,
        sample_posterior: section.truth("sample_posterior", true)?,
    };
    vae.scale()?;
    Ok(vae)
}

fn register_count(encoder: &Section) -> Result<usize, ConfigError> {
    let module = encoder.at("enc_register_module")?;
    module.only("ordering_mode", &json!("nested"))?;
    let count = module.count("n_max", MOST_TOKENS)?;
    module.agree("n_min", module.count_or("n_min", MOST_TOKENS, count)?, count, "n_max")?;
    Ok(count)
}

fn levels(regularizer: &Section) -> Result<Vec<u32>, ConfigError> {
    let wrong = |found: String| {
        let expected = format!("1 to {MAX_FSQ_DIM} numbers from 2 to {MAX_FSQ_LEVEL} whose product is below 2^31");
        ConfigError::invalid("regularizer.levels", expected, found)
    };
    let counts = regularizer.counts("levels", 1 << 16)?;
    let codes = counts.iter().try_fold(1_u32, |codes, &level| codes.checked_mul(u32::try_from(level).ok()?));
    let fits = codes.is_some_and(|codes| codes < 1 << 31)
        && (1..=MAX_FSQ_DIM).contains(&counts.len())
        && counts.iter().all(|&level| level >= 2 && u32::try_from(level).is_ok_and(|level| level <= MAX_FSQ_LEVEL));
    if !fits {
        return Err(wrong(format!("{counts:?}")));
    }
    Ok(counts.into_iter().filter_map(|level| u32::try_from(level).ok()).collect())
}

/// Patches, positions and blocks of one chain.
fn trunk(chain: &Section, [patches, positions, packer, blocks, head]: [&str; 5]) -> Result<TrunkConfig, ConfigError> {
    let (blocks, patches, positions) = (chain.at(blocks)?, chain.at(patches)?, chain.at(positions)?);
    let dim = blocks.count("dim", MOST_WIDTH)?;
    let head_dim = blocks.count_or("head_dim", MOST_WIDTH, 64)?;
    if !dim.is_multiple_of(head_dim) || !dim.is_multiple_of(4) {
        let expected = format!("a multiple of 4 and of head_dim {head_dim}");
        return Err(ConfigError::invalid("dim", expected, dim.to_string()));
    }
    patches.only("flatten_patches", &json!(false))?;
    patches.agree("dim", patches.count("dim", MOST_WIDTH)?, dim, "the transformer")?;
    positions.agree("dim", positions.count("dim", MOST_WIDTH)?, dim, "the transformer")?;
    positions.only("posemb_type", &json!("sincos"))?;
    positions.only("posemb_scaling", &json!("absolute"))?;
    let is_causal = match chain.at(packer)?.text("mask_mode")? {
        Some("causal_last") => true,
        Some("full") => false,
        other => {
            let found = other.unwrap_or("nothing").to_owned();
            return Err(ConfigError::invalid("mask_mode", "causal_last or full", found));
        }
    };
    let head = chain.at(head)?;
    head.agree("dim", head.count("dim", MOST_WIDTH)?, dim, "the transformer")?;
    Ok(TrunkConfig {
        dim,
        depth: blocks.count("depth", MOST_DEPTH)?,
        head_dim,
        patch: patches.pair("patch_sizes", MOST_SIDE)?,
        max_sizes: positions.pair("max_sizes", MOST_SIDE)?,
        is_causal,
        mup: mup(&head)?,
    })
}

fn mup(head: &Section) -> Result<Option<MupReadout>, ConfigError> {
    if !head.truth("use_mup_readout", false)? {
        return Ok(None);
    }
    match (head.number("output_mult")?, head.number("width_mult")?) {
        (Some(output_mult), Some(width_mult)) if width_mult != 0.0 => Ok(Some(MupReadout { output_mult, width_mult })),
        _ => Err(ConfigError::Unsupported(
            "use_mup_readout is true, but the config does not say by what: add the numbers output_mult and width_mult (this \
             width over the base width) beside it"
                .to_owned(),
        )),
    }
}

fn encoder_trunk(chain: &Section, dims: usize) -> Result<TrunkConfig, ConfigError> {
    let names = ["enc_patch_emb", "enc_posemb_module", "enc_seq_packer", "enc_transformer", "enc_to_latents"];
    let trunk = trunk(chain, names)?;
    chain.at("enc_transformer")?.only("adaLN_emb_read_key", &Value::Null)?;
    let (registers, head) = (chain.at("enc_register_module")?, chain.at("enc_to_latents")?);
    registers.agree("dim", registers.count("dim", MOST_WIDTH)?, trunk.dim, "the transformer")?;
    head.agree("dim_out", head.count("dim_out", MOST_WIDTH)?, dims, "the list of levels")?;
    Ok(trunk)
}

fn decoder_trunk(chain: &Section, channels: usize, dims: usize, registers: usize) -> Result<TrunkConfig, ConfigError> {
    let names =
        ["dec_noise_patch_emb", "dec_patches_posemb_module", "dec_seq_packer", "dec_transformer", "dec_to_patches"];
    let trunk = trunk(chain, names)?;
    chain.at("dec_seq_packer")?.only("per_subseq_embs", &json!(true))?;
    chain.at("dec_transformer")?.only("adaLN_expansion", &json!(2))?;
    let (codes, positions) = (chain.at("dec_from_latents")?, chain.at("dec_registers_posemb_module")?);
    let (patches, head) = (chain.at("dec_noise_patch_emb")?, chain.at("dec_to_patches")?);
    codes.agree("dim_in", codes.count("dim_in", MOST_WIDTH)?, dims, "the list of levels")?;
    codes.agree("dim", codes.count("dim", MOST_WIDTH)?, trunk.dim, "the transformer")?;
    positions.only("posemb_type", &json!("learnable_sum"))?;
    positions.only("posemb_scaling", &json!("absolute"))?;
    positions.only("max_sizes", &json!([registers]))?;
    patches.agree("channels_in", patches.count("channels_in", MOST_WIDTH)?, channels, "the encoder")?;
    head.agree("channels_out", head.count("channels_out", MOST_WIDTH)?, channels, "the encoder")?;
    let patch = head.pair("patch_sizes", MOST_SIDE)?;
    if patch != trunk.patch {
        return Err(ConfigError::invalid(
            "dec_to_patches.patch_sizes",
            format!("{:?}", trunk.patch),
            format!("{patch:?}"),
        ));
    }
    Ok(trunk)
}

fn share(section: &Section, name: &str, default: f64) -> Result<f64, ConfigError> {
    let share = section.number(name)?.unwrap_or(default);
    if (0.0..=1.0).contains(&share) {
        return Ok(share);
    }
    Err(ConfigError::invalid(name, "a share from 0 to 1", share.to_string()))
}

fn keep_sampling(section: &Section) -> Result<KeepSampling, ConfigError> {
    let name = section.text("size_sampling_mode")?.unwrap_or("uniform");
    let known = KeepSampling::NAMES.iter().find(|(known, _)| *known == name);
    known.map(|(_, mode)| *mode).ok_or_else(|| {
        ConfigError::invalid("dec_nested_dropout.size_sampling_mode", "uniform, pow2 or uniform_pow2", name)
    })
}

fn max_timestep(embedder: &Section) -> Result<f64, ConfigError> {
    // Releases differ, so there is no default.
    let limit = embedder.number("max_timestep")?;
    limit.filter(|limit| *limit >= 1.0).ok_or_else(|| {
        let found = limit.map_or_else(|| "nothing".to_owned(), |limit| limit.to_string());
        ConfigError::invalid("dec_time_embedder.max_timestep", "a number of at least 1", found)
    })
}

fn noise(root: &Section) -> Result<NoiseConfig, ConfigError> {
    let section = root.at("flow_matching_noise_module")?;
    section.target(NOISE)?;
    Ok(NoiseConfig {
        logit_normal: section.truth("ln", false)?,
        stratified: section.truth("stratisfied", false)?,
        mode_scale: section.number("mode_scale")?.unwrap_or(0.0),
    })
}

fn register_mix(root: &Section) -> Result<Option<RegisterMix>, ConfigError> {
    match root.text("register_mix")? {
        None => Ok(None),
        Some("dct") => Ok(Some(RegisterMix::Dct)),
        Some(other) => Err(ConfigError::invalid("register_mix", "dct, or no such key", other)),
    }
}

fn sampling(root: &Section) -> Result<SamplingConfig, ConfigError> {
    let usual = SamplingConfig::default();
    if root.get("sampling").is_none() {
        return Ok(usual);
    }
    let section = root.at("sampling")?;
    Ok(SamplingConfig {
        steps: section.count_or("steps", MOST_STEPS, usual.steps)?,
        guidance: section.number("guidance")?.unwrap_or(usual.guidance),
        projected: section.truth("projected", usual.projected)?,
    })
}
