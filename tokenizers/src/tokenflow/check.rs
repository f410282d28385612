//! Whether the sizes of a TokenFlow fit together.

use super::config::GROUPS;
use super::sizes::hidden;
use super::{SemanticEncoder, Teacher, TokenFlowConfig};
use crate::config::ConfigError;

impl TokenFlowConfig {
    /// Checks that sizes fit together.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first key that does not fit.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.check_numbers()?;
        self.check_levels()?;
        self.check_towers()?;
        let grid = self.grid();
        let invalid = |key: &str, expected: String, found: String| Err(ConfigError::invalid(key, expected, found));
        let fits = (1..=32).contains(&self.scales.len()) && self.scales.iter().all(|scale| (1..=grid).contains(scale));
        if !fits || grid > 1 << 10 {
            let expected = "1 to 32 sides of grids, none larger than the last".to_owned();
            return invalid("scales", expected, format!("{:?}", self.scales));
        }
        let cells = self.image_size / self.patch();
        if cells != grid {
            let expected = format!("{cells}, the patches of {} pixels in {}", self.patch(), self.image_size);
            return invalid("scales (the last)", expected, grid.to_string());
        }
        match (self.teacher, &self.semantic_encoder) {
            (Teacher::Clip, SemanticEncoder::ClipVit(_)) if self.image_size / self.downsampling() != grid => {
                let expected = format!("{grid} times the {} pixels of a cell", self.downsampling());
                invalid("image_size", expected, self.image_size.to_string())
            }
            (Teacher::Siglip, SemanticEncoder::SiglipVision(sizes)) if sizes.image_size / sizes.patch_size != grid => {
                let expected = format!("a side with {grid} patches: this encoder's positions are not resized");
                invalid("semantic_encoder.image_size", expected, sizes.image_size.to_string())
            }
            (Teacher::Clip, SemanticEncoder::ClipVit(_)) | (Teacher::Siglip, SemanticEncoder::SiglipVision(_)) => {
                Ok(())
            }
            (Teacher::Clip, _) => {
                invalid("semantic_encoder.kind", "clip_vit for this teacher".to_owned(), "siglip_vision".to_owned())
            }
            (Teacher::Siglip, _) => {
                invalid("semantic_encoder.kind", "siglip_vision for this teacher".to_owned(), "clip_vit".to_owned())
            }
        }
    }

    fn check_numbers(&self) -> Result<(), ConfigError> {
        if self.model != "TokenFlow" {
            return Err(ConfigError::invalid("model", "TokenFlow", self.model.clone()));
        }
        for (key, value, most) in [
            ("image_size", self.image_size, 1 << 13),
            ("codebook_size", self.codebook_size, 1 << 24),
            ("codebook_embed_dim", self.codebook_embed_dim, 1 << 12),
            ("semantic_code_dim", self.semantic_code_dim, 1 << 12),
            ("z_channels", self.z_channels, 1 << 14),
            ("encoder_num_res_blocks", self.encoder_num_res_blocks, 1 << 6),
            ("decoder_num_res_blocks", self.decoder_num_res_blocks, 1 << 6),
            ("decoder_out_dim", self.decoder_out_dim, 1 << 16),
        ] {
            if !(1..=most).contains(&value) {
                return Err(ConfigError::invalid(key, format!("a number from 1 to {most}"), value.to_string()));
            }
        }
        if !self.codebook_l2_norm {
            return Err(ConfigError::invalid("codebook_l2_norm", "true: the released code has no other form", "false"));
        }
        let numbers = [("commit_loss_beta", self.commit_loss_beta), ("entropy_loss_ratio", self.entropy_loss_ratio)];
        match numbers.into_iter().find(|(_, value)| !(*value >= 0.0 && value.is_finite())) {
            Some((key, value)) => Err(ConfigError::invalid(key, "a number from 0 on", value.to_string())),
            None => Ok(()),
        }
    }

    fn check_levels(&self) -> Result<(), ConfigError> {
        for (key, ch, mult) in [
            ("encoder_ch_mult", self.encoder_ch, &self.encoder_ch_mult),
            ("decoder_ch_mult", self.decoder_ch, &self.decoder_ch_mult),
        ] {
            let fits = |mult: &usize| {
                let width = ch.saturating_mul(*mult);
                (1..=1 << 16).contains(&width) && width.is_multiple_of(GROUPS)
            };
            let stem_fits = (1..=1 << 16).contains(&ch) && ch.is_multiple_of(GROUPS);
            if !(1..=12).contains(&mult.len()) || !mult.iter().all(fits) || !stem_fits {
                let expected = format!("1 to 12 levels whose widths ({ch} times each) are multiples of {GROUPS}");
                return Err(ConfigError::invalid(key, expected, format!("{mult:?}")));
            }
        }
        if self.encoder_ch_mult.len() != self.decoder_ch_mult.len() {
            let expected = format!("{} levels, as the encoder has", self.encoder_ch_mult.len());
            return Err(ConfigError::invalid("decoder_ch_mult", expected, self.decoder_ch_mult.len().to_string()));
        }
        Ok(())
    }

    fn check_towers(&self) -> Result<(), ConfigError> {
        let decoder = &self.semantic_decoder;
        let tower = match &self.semantic_encoder {
            SemanticEncoder::ClipVit(sizes) => {
                let hidden = hidden(sizes.width, sizes.mlp_ratio);
                [sizes.image_size, sizes.patch_size, sizes.width, sizes.layers, sizes.heads, hidden]
            }
            SemanticEncoder::SiglipVision(sizes) => {
                let hidden = sizes.intermediate_size;
                [sizes.image_size, sizes.patch_size, sizes.width, sizes.layers, sizes.heads, hidden]
            }
        };
        let decoder_hidden = hidden(decoder.width, decoder.mlp_ratio);
        let sides = [decoder.grid, 1, decoder.width, decoder.layers, decoder.heads, decoder_hidden];
        let names = [
            ["image_size", "patch_size", "width", "layers", "heads", "mlp_ratio or intermediate_size"],
            ["grid", "(patch)", "width", "layers", "heads", "mlp_ratio"],
        ];
        for ((section, names), sizes) in
            ["semantic_encoder", "semantic_decoder"].into_iter().zip(names).zip([tower, sides])
        {
            for (name, value) in names.into_iter().zip(sizes) {
                if !(1..=1 << 16).contains(&value) {
                    let found = value.to_string();
                    return Err(ConfigError::invalid(&format!("{section}.{name}"), "a number from 1 to 65536", found));
                }
            }
            let [side, patch, width, _, heads, _] = sizes;
            if !width.is_multiple_of(heads) {
                let expected = format!("a divisor of the width {width}");
                return Err(ConfigError::invalid(&format!("{section}.heads"), expected, heads.to_string()));
            }
            if patch > side || side / patch > 1 << 10 {
                let expected = format!("1 to 1024 patches in {side} pixels");
                return Err(ConfigError::invalid(&format!("{section}.patch_size"), expected, patch.to_string()));
            }
        }
        Ok(())
    }
}
