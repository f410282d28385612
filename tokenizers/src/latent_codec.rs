//! [`LatentCodec`]: pictures to continuous latents and back, whatever makes them; what generators of latents learn from.

use std::path::Path;

use burn::tensor::{Device, Tensor};
use tessera_layers::checkpoint::{ContentHash, Weights, canonical_json, locate, read_config};

use crate::patch_dct::PatchDctConfig;
use crate::pretrained::config_of;
use crate::{ConfigError, Fingerprint, Latents, LoadError, ModelConfig, TokenLayout, TokenizerError};

/// An autoencoder of pictures.
pub trait LatentNetwork: Send + Sync {
    /// Pictures `[batch, 3, H, W]` in -1..=1 to latents `[batch, channels, h, w]`; where the autoencoder gives a distribution, its
    /// mean. Without a scaling factor.
    fn latents(&self, images: Tensor<4>) -> Tensor<4>;

    /// Latents `[batch, channels, h, w]`, without a scaling factor, to pictures, nominally in -1..=1 and not clamped.
    fn picture(&self, latents: Tensor<4>) -> Tensor<4>;
}

/// What a codec of latents is.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LatentInfo {
    /// Architecture, such as `mar-kl`.
    pub architecture: &'static str,
    /// Name of the released model whose configuration this is, if it is one.
    pub preset: Option<&'static str>,
    /// Side of the pictures that it was made for, in pixels; any multiple of [`LatentInfo::patch`] goes through.
    pub usual_side: usize,
    /// Pixels that one latent is wide.
    pub patch: usize,
    /// Channels of a latent.
    pub channels: usize,
    /// What latents are multiplied by before a generator sees them.
    pub scaling_factor: f64,
    /// Hash of configuration and weights.
    pub fingerprint: Fingerprint,
}

/// An autoencoder ready for use: its latents are scaled, and lie row by row.
pub struct LatentCodec {
    network: Box<dyn LatentNetwork>,
    info: LatentInfo,
    device: Device,
}

impl LatentCodec {
    pub(crate) fn new(network: impl LatentNetwork + 'static, info: LatentInfo, device: &Device) -> Self {
        Self { network: Box::new(network), info, device: device.clone() }
    }

    /// Opens an autoencoder: a folder, a weight file with its configuration beside it, a hub id that lies in the hub's cache on
    /// disk, or the configuration of a transform that has no weights ([`PatchDctConfig`]), alone or in a folder.
    ///
    /// # Errors
    /// [`LoadError`] if the files are not found, there is no configuration or it does not fit, it is one of a tokenizer of ids, or
    /// a tensor is missing, surplus, misshapen or not finite.
    pub fn from_pretrained(spec: &str, device: &Device) -> Result<Self, LoadError> {
        match Pretrained::open(spec, device)? {
            Pretrained::Latents(codec) => Ok(codec),
            Pretrained::Tokens(_) => Err(makes_ids()),
        }
    }

    /// What it is.
    pub fn info(&self) -> &LatentInfo {
        &self.info
    }

    /// Scaled latents of pictures `[batch, 3, H, W]` in 0..=1.
    ///
    /// # Errors
    /// [`TokenizerError::Input`] if there is no picture, or a side is no multiple of the patch.
    pub fn encode(&self, images: Tensor<4>) -> Result<Latents, TokenizerError> {
        let [batch, colours, height, width] = images.dims();
        let patch = self.info.patch;
        let fits = |side: usize| side > 0 && side.is_multiple_of(patch);
        if batch == 0 || colours != 3 || !fits(height) || !fits(width) {
            return Err(TokenizerError::Input {
                what: "pictures",
                expected: format!("[batch, 3, height, width] with sides that are multiples of {patch}"),
                found: format!("{:?}", images.dims()),
            });
        }
        let images = images.to_device(&self.device).mul_scalar(2.0).sub_scalar(1.0);
        let latents = self.network.latents(images).mul_scalar(self.info.scaling_factor);
        let [_, channels, rows, columns] = latents.dims();
        let vectors = latents.reshape([batch, channels, rows * columns]).swap_dims(1, 2);
        let side = |cells: usize| u32::try_from(cells).unwrap_or(u32::MAX);
        Ok(Latents { vectors, layout: TokenLayout::Grid { height: side(rows), width: side(columns) } })
    }

    /// Pictures `[batch, 3, H, W]`, nominally in 0..=1 and not clamped, of scaled latents.
    ///
    /// # Errors
    /// [`TokenizerError::Input`] if they are not a grid, or have other channels.
    pub fn decode(&self, latents: &Latents) -> Result<Tensor<4>, TokenizerError> {
        let [batch, positions, channels] = latents.vectors.dims();
        let TokenLayout::Grid { height, width } = latents.layout else {
            let (expected, found) = ("a grid".to_owned(), latents.layout.to_string());
            return Err(TokenizerError::Input { what: "latent layout", expected, found });
        };
        let [rows, columns] = [height, width].map(|side| usize::try_from(side).unwrap_or(usize::MAX));
        if channels != self.info.channels || rows.checked_mul(columns) != Some(positions) || batch == 0 {
            return Err(TokenizerError::Input {
                what: "latents",
                expected: format!("[batch, {height} * {width}, {}]", self.info.channels),
                found: format!("{:?}", latents.vectors.dims()),
            });
        }
        let latents = latents.vectors.clone().to_device(&self.device).swap_dims(1, 2);
        let latents = latents.reshape([batch, channels, rows, columns]).div_scalar(self.info.scaling_factor);
        Ok(self.network.picture(latents).mul_scalar(0.5).add_scalar(0.5))
    }
}

/// Either side of [`crate::from_pretrained`]: what a folder or file holds.
pub enum Pretrained {
    /// A tokenizer of ids.
    Tokens(Box<dyn crate::Tokenizer>),
    /// An autoencoder of latents.
    Latents(LatentCodec),
}

impl Pretrained {
    /// Opens a tokenizer or an autoencoder, whichever it is.
    ///
    /// # Errors
    /// As [`crate::from_pretrained`] and [`LatentCodec::from_pretrained`].
    pub fn open(spec: &str, device: &Device) -> Result<Self, LoadError> {
        if let Some(config) = fixed_transform(spec)? {
            return Ok(Self::Latents(config.codec(device)));
        }
        let files = locate(spec)?;
        let weights = Weights::open(&files.weights)?;
        let config = config_of(&files, &weights)?;
        let described = files.config.as_ref().unwrap_or(&files.weights);
        let opened = match config.makes_latents() {
            true => config.load_latents(&weights, device).map(Self::Latents),
            false => config.load(&weights, device).map(Self::Tokens),
        };
        opened.map_err(|error| error.in_file(described))
    }
}

fn makes_ids() -> LoadError {
    LoadError::Config(ConfigError::Unsupported(
        "a tokenizer of ids makes no continuous latents: open it with from_pretrained".to_owned(),
    ))
}

/// The configuration of a transform without weights, if `spec` is its file or folder.
fn fixed_transform(spec: &str) -> Result<Option<PatchDctConfig>, LoadError> {
    let path = Path::new(spec);
    let path = if path.is_dir() { path.join("config.json") } else { path.to_owned() };
    if !path.is_file() || path.extension().is_none_or(|ending| ending != "json") {
        return Ok(None);
    }
    // A file that cannot be read is for whoever reads it next to complain about.
    match read_config(&path) {
        Ok(document) if PatchDctConfig::recognises(&document) => {
            PatchDctConfig::from_value(&document).map(Some).map_err(|error| LoadError::from(error).in_file(&path))
        }
        _ => Ok(None),
    }
}

impl PatchDctConfig {
    /// The transform as a codec of latents.
    pub fn codec(&self, device: &Device) -> LatentCodec {
        let hash = ContentHash::default();
        let info = LatentInfo {
            architecture: "patch-dct",
            preset: None,
            usual_side: self.sample_size.unwrap_or(16 * self.patch),
            patch: self.patch,
            channels: self.channels(),
            scaling_factor: self.scaling_factor.unwrap_or(1.0),
            fingerprint: Fingerprint(hash.finish(&canonical_json(&self.to_value()))),
        };
        LatentCodec::new(self.clone(), info, device)
    }
}

impl LatentNetwork for PatchDctConfig {
    fn latents(&self, images: Tensor<4>) -> Tensor<4> {
        Self::encode(self, images)
    }

    fn picture(&self, latents: Tensor<4>) -> Tensor<4> {
        Self::decode(self, latents)
    }
}

impl ModelConfig {
    /// Whether this is an autoencoder of continuous latents, which makes no ids.
    pub fn makes_latents(&self) -> bool {
        matches!(self, Self::MarKl(_) | Self::AutoencoderKl(_))
    }

    /// Makes the autoencoder of a checkpoint that holds exactly its tensors.
    ///
    /// # Errors
    /// [`LoadError`] if the configuration is of a tokenizer of ids, or as [`ModelConfig::load`].
    pub fn load_latents(&self, weights: &Weights, device: &Device) -> Result<LatentCodec, LoadError> {
        let loaded = match self {
            Self::MarKl(config) => crate::mar_kl::open(config, weights, device),
            Self::AutoencoderKl(config) => crate::autoencoder_kl::open(config, weights, device),
            _ => Err(makes_ids()),
        };
        loaded.map_err(|error| Self::naming_the_release(error, weights))
    }
}
