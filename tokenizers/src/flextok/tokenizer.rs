//! FlexTok behind the [`Tokenizer`] trait.

use std::ops::ControlFlow;

use burn::tensor::{Device, Tensor};
use tessera_layers::checkpoint::{ContentHash, canonical_json};
use tessera_layers::{ParamSpec, Trace};
use tessera_shaders::Projection;

use super::flow::{FlowSampling, FlowStep, Guidance, flow_noise, sample_flow};
use super::{FlexTokConfig, FlexTokNetwork, PRESETS};
use crate::tensors::{read_ids, upload_ids, upload_mask};
use crate::tokenizer::check_maker;
use crate::{
    DecodeOptions, Fingerprint, Input, InputKind, Latents, Output, ResizeFilter, TokenLayout, Tokenizer,
    TokenizerError, TokenizerInfo, Tokens,
};

/// A FlexTok ready for use.
pub struct FlexTok {
    network: FlexTokNetwork,
    config: FlexTokConfig,
    specs: Vec<ParamSpec>,
    info: TokenizerInfo,
    device: Device,
}

/// Which latents of the autoencoder's posterior are encoded.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "made once for a call")]
pub enum PosteriorChoice {
    /// Its mean.
    Mean,
    /// A draw from it; the same seed gives the same draw for each item of the batch.
    Seed(u64),
    /// Mean plus deviation times this noise `[batch, channels, h, w]`.
    Noise(Tensor<4>),
}

impl FlexTok {
    pub(super) fn new(
        network: FlexTokNetwork,
        config: FlexTokConfig,
        specs: Vec<ParamSpec>,
        hash: &ContentHash,
        device: &Device,
    ) -> Self {
        let is_release = |name: &&&str| {
            FlexTokConfig::preset(name).is_some_and(|preset| {
                (&preset.encoder, &preset.decoder) == (&config.encoder, &config.decoder)
                    && (&preset.levels, preset.registers) == (&config.levels, config.registers)
                    && preset.vae.architecture == config.vae.architecture
            })
        };
        let [patch, _] = config.pixels_of_patch();
        let info = TokenizerInfo {
            architecture: "flextok",
            preset: PRESETS.iter().find(is_release).copied(),
            input: InputKind::Images,
            image_size: Some(config.image_size()),
            patch,
            resize: ResizeFilter::Bilinear,
            layout: TokenLayout::Ordered { len: u32::try_from(config.registers).unwrap_or(u32::MAX) },
            vocab: vec![config.codes()],
            prefix_decodes: true,
            is_sampled: true,
            parameters: specs.iter().map(|spec| spec.shape.iter().product::<usize>()).sum(),
            fingerprint: Fingerprint(hash.finish(&canonical_json(&config.to_value()))),
        };
        Self { network, config, specs, info, device: device.clone() }
    }

    /// The network itself.
    pub fn network(&self) -> &FlexTokNetwork {
        &self.network
    }

    /// Its configuration.
    pub fn config(&self) -> &FlexTokConfig {
        &self.config
    }

    /// Its parameters by released name.
    pub fn specs(&self) -> &[ParamSpec] {
        &self.specs
    }

    /// Takes the network out, with its parameters' names, for training.
    pub fn into_network(self) -> (FlexTokNetwork, Vec<ParamSpec>) {
        (self.network, self.specs)
    }

    /// Scaled latents `[batch, channels, h, w]` of pictures `[batch, 3, height, width]` in 0..=1: any size up to the model's
    /// whose sides its patches divide.
    ///
    /// # Errors
    /// [`TokenizerError::Input`] if the pictures, or the noise of the posterior, do not fit.
    pub fn latents(&self, images: Tensor<4>, choice: &PosteriorChoice) -> Result<Tensor<4>, TokenizerError> {
        let [batch, channels, height, width] = images.dims();
        let [h, w] = self.latent_size([height, width])?;
        if channels != 3 {
            let found = format!("{channels} channels");
            return Err(TokenizerError::Input { what: "pictures", expected: "3 channels".to_owned(), found });
        }
        let image = images.to_device(&self.device).mul_scalar(2.0).sub_scalar(1.0);
        let posterior = self.network.posterior(image, &mut Trace::none());
        let shape = [batch, self.config.vae.architecture.channels(), h, w];
        let latents = match choice {
            PosteriorChoice::Mean => posterior.mean,
            PosteriorChoice::Seed(seed) => {
                let [_, rest @ ..] = shape;
                let [channels, h, w] = rest;
                let noise = flow_noise(*seed, 0, [1, channels, h, w], &self.device);
                posterior.sample(noise.expand(shape))
            }
            PosteriorChoice::Noise(noise) if noise.dims() == shape => {
                posterior.sample(noise.clone().to_device(&self.device))
            }
            PosteriorChoice::Noise(noise) => {
                let (expected, found) = (format!("{shape:?}"), format!("{:?}", noise.dims()));
                return Err(TokenizerError::Input { what: "noise of the posterior", expected, found });
            }
        };
        Ok(self.network.scaled(latents))
    }

    /// [`Tokenizer::encode`] with another choice of latents than the configuration's.
    ///
    /// # Errors
    /// As [`FlexTok::latents`].
    pub fn encode_with(&self, images: Tensor<4>, choice: &PosteriorChoice) -> Result<Tokens, TokenizerError> {
        let [batch, ..] = images.dims();
        let ids = read_ids(self.network.tokens(self.latents(images, choice)?))?;
        Ok(Tokens::new(ids, batch, self.info.layout.clone(), self.info.vocab.clone(), self.info.fingerprint)?)
    }

    /// Scaled latents of tokens, sampled from `noise` (or from the noise of the seed in `options`). `on_step` hears of every
    /// step and may end the sampling; see [`sample_flow`].
    ///
    /// # Errors
    /// [`TokenizerError`] if the tokens are another model's, or options or noise do not fit.
    pub fn sample(
        &self,
        tokens: &Tokens,
        options: &DecodeOptions,
        noise: Option<Tensor<4>>,
        on_step: &mut dyn FnMut(&FlowStep) -> ControlFlow<()>,
    ) -> Result<Tensor<4>, TokenizerError> {
        check_maker(tokens, &self.info, &self.info.layout)?;
        let keep = self.lengths(tokens, options)?;
        let sampling = self.sampling(options)?;
        let [h, w] = self.latent_size(options.size.unwrap_or(self.config.image_size()))?;
        let shape = [tokens.batch(), self.config.vae.architecture.channels(), h, w];
        let noise = match noise {
            Some(noise) if noise.dims() == shape => noise.to_device(&self.device),
            Some(noise) => {
                let (expected, found) = (format!("{shape:?}"), format!("{:?}", noise.dims()));
                return Err(TokenizerError::Input { what: "noise", expected, found });
            }
            None => flow_noise(options.flow.seed, options.flow.first_item, shape, &self.device),
        };
        if tokens.batch() == 0 {
            return Ok(noise);
        }
        Ok(sample_flow(&self.network, self.vectors(tokens), &keep, noise, &sampling, on_step))
    }

    /// Pictures `[batch, 3, height, width]` around 0..=1 of scaled latents `[batch, channels, h, w]`; not clamped.
    pub fn pictures(&self, latents: Tensor<4>) -> Tensor<4> {
        self.network.picture(latents, &mut Trace::none()).mul_scalar(0.5).add_scalar(0.5)
    }

    /// Codes `[batch, registers, dims]`; positions that are not kept hold those of id 0.
    fn vectors(&self, tokens: &Tokens) -> Tensor<3> {
        let ids = upload_ids(tokens.ids(), [tokens.batch(), tokens.positions()], &self.device);
        self.network.quantizer().vectors(ids)
    }

    fn latent_size(&self, [height, width]: [usize; 2]) -> Result<[usize; 2], TokenizerError> {
        let (cell, [most_height, most_width]) = (self.config.vae.architecture.cell(), self.config.image_size());
        let [rows, columns] = self.config.pixels_of_patch();
        let fits = |side: usize, patch: usize, most: usize| side > 0 && side <= most && side.is_multiple_of(patch);
        if fits(height, rows, most_height) && fits(width, columns, most_width) {
            return Ok([height / cell, width / cell]);
        }
        Err(TokenizerError::Input {
            what: "size of the picture (height x width)",
            expected: format!("at most {most_height}x{most_width} pixels, multiples of {rows} and {columns}"),
            found: format!("{height}x{width}"),
        })
    }

    fn sampling(&self, options: &DecodeOptions) -> Result<FlowSampling, TokenizerError> {
        const MOST_STEPS: usize = 10_000;
        let usual = &self.config.sampling;
        let steps = options.flow.steps.unwrap_or(usual.steps);
        if !(1..=MOST_STEPS).contains(&steps) {
            let expected = format!("1 to {MOST_STEPS} steps");
            return Err(TokenizerError::Input { what: "sampling", expected, found: steps.to_string() });
        }
        let projection = match &options.flow.projection {
            Some(choice) => *choice,
            None => usual.projected.then(Projection::default),
        };
        let guidance = options.flow.guidance.clone().unwrap_or(Guidance::Constant(usual.guidance as f32));
        Ok(FlowSampling { steps, guidance, projection })
    }

    /// How many leading tokens each item is conditioned on.
    fn lengths(&self, tokens: &Tokens, options: &DecodeOptions) -> Result<Vec<usize>, TokenizerError> {
        let all = self.config.registers;
        let kept = tokens.prefix_lengths().ok_or_else(|| TokenizerError::Input {
            what: "tokens",
            expected: "the first tokens of each picture".to_owned(),
            found: "an arbitrary subset".to_owned(),
        })?;
        let wanted = options.keep.unwrap_or(all);
        let lengths: Vec<usize> = kept.into_iter().map(|length| length.min(wanted)).collect();
        match std::iter::once(&wanted).chain(&lengths).find(|length| !(1..=all).contains(*length)) {
            None => Ok(lengths),
            Some(length) => Err(TokenizerError::Input {
                what: "tokens",
                expected: format!("1 to {all} tokens for each picture"),
                found: length.to_string(),
            }),
        }
    }
}

impl Tokenizer for FlexTok {
    fn info(&self) -> &TokenizerInfo {
        &self.info
    }

    /// Where the configuration asks for draws from the posterior, they are those of seed 0, so that a picture always has the
    /// same tokens; [`FlexTok::encode_with`] draws others.
    fn encode(&self, input: &Input) -> Result<Tokens, TokenizerError> {
        let images = input.images()?;
        let sampled = self.config.vae.sample_posterior;
        let choice = if sampled { PosteriorChoice::Seed(0) } else { PosteriorChoice::Mean };
        self.encode_with(images.clone(), &choice)
    }

    fn decode(&self, tokens: &Tokens, options: &DecodeOptions) -> Result<Output, TokenizerError> {
        let latents = self.sample(tokens, options, None, &mut |_| ControlFlow::Continue(()))?;
        Ok(Output::Images(self.pictures(latents)))
    }

    fn embed(&self, tokens: &Tokens) -> Result<Latents, TokenizerError> {
        check_maker(tokens, &self.info, &self.info.layout)?;
        let vectors = self.vectors(tokens);
        let vectors = match tokens.kept() {
            Some(kept) => vectors * upload_mask(kept, [tokens.batch(), tokens.positions()], &self.device),
            None => vectors,
        };
        Ok(Latents { vectors, layout: tokens.layout().clone() })
    }
}
