//! SEED with pixels behind the [`Tokenizer`] trait.

use burn::tensor::{Device, Tensor};
use tessera_layers::ParamSpec;
use tessera_layers::checkpoint::{ContentHash, canonical_json};
use tessera_layers::perceptual::{Resampling, resize};

use super::config::{PixelKind, SeedPixelsConfig};
use super::flow::{PixelSampling, sample_pixels};
use super::model::{SeedPixelsNetwork, Shown};
use crate::flextok::{Guidance, flow_noise};
use crate::seed;
use crate::tensors::upload_ids;
use crate::tokenizer::check_maker;
use crate::{
    DecodeOptions, Fingerprint, Input, InputKind, Latents, LoadError, Output, TokenLayout, Tokenizer, TokenizerError,
    TokenizerInfo, Tokens,
};

/// A SEED tokenizer that makes pictures, ready for use.
pub struct SeedPixels {
    network: SeedPixelsNetwork,
    config: SeedPixelsConfig,
    specs: Vec<ParamSpec>,
    info: TokenizerInfo,
    device: Device,
}

impl SeedPixels {
    pub(super) fn new(
        network: SeedPixelsNetwork,
        config: SeedPixelsConfig,
        specs: Vec<ParamSpec>,
        hash: &ContentHash,
        device: &Device,
    ) -> Result<Self, LoadError> {
        let encoder = &config.seed.encoder;
        let side = encoder.vit.img_size;
        let info = TokenizerInfo {
            architecture: "seed-pixels",
            preset: None,
            input: InputKind::Images,
            image_size: Some([side, side]),
            patch: encoder.vit.patch_size,
            resize: config.seed.resize_filter()?,
            layout: TokenLayout::Ordered { len: u32::try_from(encoder.num_query_token).unwrap_or(u32::MAX) },
            vocab: vec![u32::try_from(config.seed.n_embed).unwrap_or(u32::MAX)],
            prefix_decodes: true,
            is_sampled: config.pixels.kind == PixelKind::Flow,
            parameters: specs.iter().map(|spec| spec.shape.iter().product::<usize>()).sum(),
            fingerprint: Fingerprint(hash.finish(&canonical_json(&config.to_value()))),
        };
        Ok(Self { network, config, specs, info, device: device.clone() })
    }

    /// The network itself.
    pub fn network(&self) -> &SeedPixelsNetwork {
        &self.network
    }

    /// Its configuration.
    pub fn config(&self) -> &SeedPixelsConfig {
        &self.config
    }

    /// Its parameters by name.
    pub fn specs(&self) -> &[ParamSpec] {
        &self.specs
    }

    /// Takes the network out, with its parameters' names, for training.
    pub fn into_network(self) -> (SeedPixelsNetwork, Vec<ParamSpec>) {
        (self.network, self.specs)
    }

    /// What is shown of each item.
    fn shown(&self, tokens: &Tokens, options: &DecodeOptions) -> Result<Vec<Shown>, TokenizerError> {
        let all = tokens.positions();
        let input = |expected: String, found: String| TokenizerError::Input { what: "tokens", expected, found };
        let kept = tokens
            .prefix_lengths()
            .ok_or_else(|| input("the first tokens of each picture".to_owned(), "an arbitrary subset".to_owned()))?;
        let wanted = options.keep.unwrap_or(all);
        let lengths: Vec<usize> = kept.into_iter().map(|length| length.min(wanted)).collect();
        let wrong = lengths.iter().chain([&wanted]).find(|length| !(1..=all).contains(*length)).copied();
        match wrong {
            Some(length) => Err(input(format!("1 to {all} tokens for each picture"), length.to_string())),
            None => Ok(lengths.into_iter().map(Shown::prefix).collect()),
        }
    }
}

impl Tokenizer for SeedPixels {
    fn info(&self) -> &TokenizerInfo {
        &self.info
    }

    fn encode(&self, input: &Input) -> Result<Tokens, TokenizerError> {
        seed::encode(self.network.seed(), &self.config.seed, &self.info, input, &self.device)
    }

    fn decode(&self, tokens: &Tokens, options: &DecodeOptions) -> Result<Output, TokenizerError> {
        check_maker(tokens, &self.info, &self.info.layout)?;
        let shown = self.shown(tokens, options)?;
        let (batch, side) = (tokens.batch(), self.config.seed.encoder.vit.img_size);
        if batch == 0 {
            return Ok(Output::Images(Tensor::zeros([0, 3, side, side], &self.device)));
        }
        let (codec, made) = (self.network.seed().codec(), self.config.pixels.side);
        let ids = upload_ids(tokens.ids(), [batch, tokens.positions()], &self.device);
        let dequantized = codec.dequantize(codec.quantizer().vectors(ids), &mut tessera_layers::Trace::none());
        let sampling = PixelSampling {
            steps: options.flow.steps.unwrap_or(self.config.pixels.steps),
            guidance: options.flow.guidance.clone().unwrap_or(Guidance::Constant(self.config.pixels.guidance as f32)),
        };
        if sampling.steps == 0 {
            let (expected, found) = ("1 or more".to_owned(), "0".to_owned());
            return Err(TokenizerError::Input { what: "steps of the flow", expected, found });
        }
        let noise = flow_noise(options.flow.seed, options.flow.first_item, [batch, 3, made, made], &self.device);
        let condition = self.network.condition(dequantized, &shown);
        let pictures = sample_pixels(self.network.pixels(), condition, noise, &sampling);
        let pictures = pictures.add_scalar(1.0).mul_scalar(0.5);
        Ok(Output::Images(resize(pictures, [side, side], Resampling::Bicubic)))
    }

    fn embed(&self, tokens: &Tokens) -> Result<Latents, TokenizerError> {
        seed::embed(self.network.seed(), &self.info, tokens, &self.device)
    }

    fn item_vectors(&self, input: &Input) -> Result<Vec<(&'static str, Tensor<2>)>, TokenizerError> {
        seed::item_vectors(self.network.seed(), &self.config.seed, input, &self.device)
    }
}
