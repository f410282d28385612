//! Configuration of a DualToken.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tessera_layers::conv_autoencoder::ConvSizes;

use super::{SiglipConfig, VqConfig, presets};
use crate::config::ConfigError;

/// The released document; unknown keys are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DualTokenConfig {
    /// `rqvaesigliptransformer_model`.
    #[serde(default = "model_type")]
    pub model_type: String,
    /// Channels of the SigLIP.
    pub hidden_size: usize,
    /// The tokenizer.
    pub rqvaesiglip: RqVaeConfig,
    /// Key of ours: sizes of the SigLIP, which a released document names only.
    pub siglip_config: SiglipConfig,
}

/// Section `rqvaesiglip`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RqVaeConfig {
    /// Channels of the SigLIP.
    pub hidden_size: usize,
    /// Block behind which pixel codes are taken, counted from 1.
    pub layer_recon: usize,
    /// Block behind which semantic codes are taken.
    pub layer_sem: usize,
    /// Block whose output is added to the pixel latents; none where absent.
    #[serde(default)]
    pub layer_shortcut: Option<usize>,
    /// Weight of that.
    #[serde(default = "shortcut")]
    pub weight_shortcut: f64,
    /// Sizes of the decoder.
    pub ddconfig: DecoderSizes,
    /// Rows and columns that the codes' grid is resized to; as it is where absent.
    #[serde(default)]
    pub decoder_latent_shape: Option<[usize; 2]>,
    /// Semantic codes.
    #[serde(alias = "vq_semantic")]
    pub vq_sem: VqConfig,
    /// Pixel codes.
    #[serde(alias = "vq_pixel")]
    pub vq_pix: VqConfig,
    /// Name or path of the SigLIP that it started from.
    #[serde(default)]
    pub pretrained_model: String,
}

/// Section `ddconfig`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecoderSizes {
    /// Base width.
    pub ch: usize,
    /// Widths of the levels in base widths, the finest first.
    pub ch_mult: Vec<usize>,
    /// Residual blocks of a level, less one.
    pub num_res_blocks: usize,
    /// Sides of maps behind whose residual blocks attention stands.
    pub attn_resolutions: Vec<usize>,
    /// Side of the pictures that `attn_resolutions` are counted from.
    pub resolution: usize,
    /// Channels that the decoder is given.
    pub decoder_in_channels: usize,
    /// Channels of a picture: 3.
    #[serde(default = "three")]
    pub out_ch: usize,
}

fn model_type() -> String {
    "rqvaesigliptransformer_model".to_owned()
}

fn shortcut() -> f64 {
    0.6
}

fn three() -> usize {
    3
}

/// Groups of every group normalisation.
const GROUPS: usize = 32;

impl DualTokenConfig {
    /// The configuration of a released document, or `None` for an unknown name.
    pub fn preset(name: &str) -> Option<Self> {
        Self::from_value(&presets::preset(name)?).ok()
    }

    /// Whether a document is of this architecture.
    pub fn describes(document: &Value) -> bool {
        document["rqvaesiglip"].is_object()
    }

    /// Reads a configuration. Where it does not say the sizes of its SigLIP, they are those of the model that it names.
    ///
    /// # Errors
    /// [`ConfigError`] naming what is missing or does not fit.
    pub fn from_value(document: &Value) -> Result<Self, ConfigError> {
        let mut whole = document.clone();
        if document["siglip_config"].is_null() {
            let name = document["rqvaesiglip"]["pretrained_model"].as_str().unwrap_or_default();
            let sizes = SiglipConfig::of_pretrained(name).ok_or_else(|| {
                let expected = "a name that ends in siglip2-so400m-patch16-256 or siglip2-so400m-patch14-384, or a section \
                                \"siglip_config\" with the sizes of both towers";
                ConfigError::invalid("rqvaesiglip.pretrained_model", expected, format!("\"{name}\""))
            })?;
            if let Some(whole) = whole.as_object_mut() {
                whole.insert("siglip_config".to_owned(), json!(sizes));
            }
        }
        let config: Self = serde_json::from_value(whole)
            .map_err(|error| ConfigError::invalid("(whole file)", "sizes of a DualToken", error.to_string()))?;
        config.check()?;
        Ok(config)
    }

    /// The configuration as [`DualTokenConfig::from_value`] reads it.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Rows and columns of SigLIP's patches.
    pub fn grid(&self) -> usize {
        self.siglip_config.vision().grid()
    }

    /// Rows and columns of the tokens.
    pub fn code_grid(&self) -> [usize; 2] {
        let [rows, columns, _] = self.rqvaesiglip.vq_pix.code_shape;
        [rows, columns]
    }

    /// Side of the pictures in pixels.
    pub fn image_size(&self) -> usize {
        self.siglip_config.vision_config.image_size
    }

    /// Checks that sizes fit together.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first key that does not fit.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.siglip_config.check()?;
        let (inner, width) = (&self.rqvaesiglip, self.siglip_config.vision_config.hidden_size);
        for (key, value) in [("hidden_size", self.hidden_size), ("rqvaesiglip.hidden_size", inner.hidden_size)] {
            if value != width {
                return Err(ConfigError::invalid(key, format!("{width}, as the SigLIP has"), value.to_string()));
            }
        }
        let layers = self.siglip_config.vision_config.num_hidden_layers;
        let last = inner.layer_sem;
        for (key, layer, most) in [
            ("rqvaesiglip.layer_sem", Some(last), layers),
            ("rqvaesiglip.layer_recon", Some(inner.layer_recon), last),
            ("rqvaesiglip.layer_shortcut", inner.layer_shortcut, last),
        ] {
            if let Some(layer) = layer.filter(|layer| !(1..=most).contains(layer)) {
                return Err(ConfigError::invalid(key, format!("a block from 1 to {most}"), layer.to_string()));
            }
        }
        if !inner.weight_shortcut.is_finite() {
            let found = inner.weight_shortcut.to_string();
            return Err(ConfigError::invalid("rqvaesiglip.weight_shortcut", "a number", found));
        }
        for (key, vq) in [("vq_pix", &inner.vq_pix), ("vq_sem", &inner.vq_sem)] {
            vq.check(&format!("rqvaesiglip.{key}"), self.grid(), width)?;
        }
        let ([rows, columns, _], [other_rows, other_columns, _]) = (inner.vq_pix.code_shape, inner.vq_sem.code_shape);
        if [rows, columns] != [other_rows, other_columns] {
            let expected = format!("the {rows} rows and {columns} columns of vq_pix: a token holds the codes of both");
            let found = format!("{other_rows} and {other_columns}");
            return Err(ConfigError::invalid("rqvaesiglip.vq_sem.code_shape", expected, found));
        }
        self.check_decoder()
    }

    fn check_decoder(&self) -> Result<(), ConfigError> {
        let (sizes, side) = (&self.rqvaesiglip.ddconfig, self.image_size());
        let key = |name: &str| format!("rqvaesiglip.ddconfig.{name}");
        let width_fits = |width: usize| (1..=1 << 16).contains(&width) && width.is_multiple_of(GROUPS);
        let widths = sizes.ch_mult.iter().map(|mult| sizes.ch.saturating_mul(*mult));
        if !(1..=12).contains(&sizes.ch_mult.len()) || !widths.into_iter().all(width_fits) {
            let expected =
                format!("1 to 12 levels whose widths (ch {} times each) are multiples of {GROUPS}", sizes.ch);
            return Err(ConfigError::invalid(&key("ch_mult"), expected, format!("{:?}", sizes.ch_mult)));
        }
        for (name, width) in
            [(key("decoder_in_channels"), sizes.decoder_in_channels), ("hidden_size".to_owned(), self.hidden_size)]
        {
            if !width_fits(width) {
                return Err(ConfigError::invalid(&name, format!("a multiple of {GROUPS}"), width.to_string()));
            }
        }
        if !(1..=1 << 6).contains(&sizes.num_res_blocks) {
            let found = sizes.num_res_blocks.to_string();
            return Err(ConfigError::invalid(&key("num_res_blocks"), "a number from 1 to 64", found));
        }
        if sizes.out_ch != 3 {
            return Err(ConfigError::invalid(&key("out_ch"), "3", sizes.out_ch.to_string()));
        }
        let times = 1 << (sizes.ch_mult.len() - 1);
        let [height, width] = self.latent_grid();
        if [height.saturating_mul(times), width.saturating_mul(times)] != [side, side] {
            let expected = format!("rows and columns that {times} pixels each make {side} of");
            return Err(ConfigError::invalid(
                "rqvaesiglip.decoder_latent_shape",
                expected,
                format!("{height}, {width}"),
            ));
        }
        Ok(())
    }

    /// Rows and columns that the decoder starts from.
    pub fn latent_grid(&self) -> [usize; 2] {
        self.rqvaesiglip.decoder_latent_shape.unwrap_or([self.grid(); 2])
    }

    pub(super) fn decoder_sizes(&self) -> ConvSizes {
        let sizes = &self.rqvaesiglip.ddconfig;
        let levels = sizes.ch_mult.len();
        let coarsest = sizes.resolution >> levels.saturating_sub(1);
        let side = |level: usize| coarsest << (levels - 1 - level);
        ConvSizes {
            stem: None,
            widths: sizes.ch_mult.iter().map(|mult| sizes.ch * mult).collect(),
            blocks: sizes.num_res_blocks + 1,
            groups: GROUPS,
            middle_attention: true,
            attention_levels: (0..levels).filter(|level| sizes.attn_resolutions.contains(&side(*level))).collect(),
        }
    }
}
