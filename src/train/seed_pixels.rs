//! Training SEED's codec and its pixel decoder; the encoder is frozen, or learns with them.

use burn::tensor::{Device, Int, Tensor};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use tessera_layers::perceptual::{Resampling, resize};
use tessera_layers::{ParamSpec, Trace};
use tessera_tokenizers::flextok::{Guidance, flow_noise};
use tessera_tokenizers::seed::{ENCODER, normalise};
use tessera_tokenizers::seed_pixels::train::{PixelBatch, draw, pixel_losses, view_contrast};
use tessera_tokenizers::seed_pixels::{self, PixelSampling, SeedPixelsConfig, SeedPixelsNetwork, Shown, sample_pixels};

use super::architecture::open_weights;
use super::codebook::{Codebook, EMBEDDING};
use super::objective::{Losses, Objective};
use super::objectives::movable_codes;
use super::parameters::Parameters;
use super::teacher::{Teacher, check_width};
use super::validation::token_counts;
use super::{Start, TrainConfig, TrainError};

/// Temperature of the contrast between views: the start of SEED's learned one.
const TEMPERATURE: f32 = 0.07;

/// Pixels, with a weight that grows; quantizer, rebuilt embeddings and a teacher's features as SEED's second stage has them.
///
/// CLIP ViT-H, the published teacher, is not part of tessera. With a weight of the alignment the teacher is EfficientNet-Lite0, whose
/// pooled features those of SEED must be as wide as. Without one it is the mean of the frozen ViT's positions where SEED's features are
/// as wide, and absent otherwise.
pub struct SeedPixelsObjective {
    config: SeedPixelsConfig,
    specs: Vec<ParamSpec>,
    frozen: Parameters,
    alignment: Option<(f64, Teacher)>,
    /// Steps over which the pixels' loss gains its weight.
    ramp: f64,
}

impl SeedPixelsObjective {
    /// The objective and the network at its start, on an autodiff device.
    ///
    /// # Errors
    /// [`TrainError`] if settings do not fit the architecture, or weights cannot be loaded.
    pub fn new(
        config: &TrainConfig,
        architecture: SeedPixelsConfig,
        device: &Device,
    ) -> Result<(Self, SeedPixelsNetwork), TrainError> {
        movable_codes(config, "a SEED with pixels", "whose codebook starts with its task layers")?;
        if let Some(vae) = &config.model.vae {
            let (expected, found) = ("none for a SEED with pixels".to_owned(), vae.display().to_string());
            return Err(TrainError::Invalid { key: "model.vae", expected, found });
        }
        let alignment = match config.loss.alignment_weight {
            weight if weight > 0.0 => {
                let [rows, channels] = architecture.seed.features();
                check_width("seed.image_features_dim (one row)", rows * channels, Teacher::POOLED)?;
                Some((weight, Teacher::new(device)?))
            }
            _ => None,
        };
        let seed = config.run.seed;
        let (network, specs) = match &config.model.from {
            Some(from) => {
                let weights = open_weights(from)?;
                // A whole model goes on; a SEED alone gets a decoder.
                match weights.entries().iter().any(|entry| entry.name.starts_with("pixel_decoder.")) {
                    true => seed_pixels::load(&architecture, &weights, device)?.into_network(),
                    false => seed_pixels::start(&architecture, &weights, seed, device)?,
                }
            }
            None => match config.model.start {
                Start::Released => seed_pixels::random(&architecture, seed, device)?,
                Start::Narrow => seed_pixels::random_narrow(&architecture, seed, device)?,
            }
            .into_network(),
        };
        let encoder: Vec<ParamSpec> = specs.iter().filter(|spec| is_encoder(&spec.name)).cloned().collect();
        let ramp = architecture.pixels.ramp * config.run.steps as f64;
        Ok((Self { config: architecture, specs, frozen: Parameters::new(&encoder), alignment, ramp }, network))
    }

    /// Causal embeddings and the teacher's features of pictures in 0..=1, on the device without autodiff.
    fn see(&self, network: &SeedPixelsNetwork, images: Tensor<4>) -> (Tensor<3>, Option<Tensor<3>>) {
        // The parameters are shared, not copied.
        let encoder = self.frozen.map_plain(network.seed().encoder().clone(), |_, value| Some(value));
        let images = if images.is_autodiff() { images.inner() } else { images };
        let vision = encoder.normalised(encoder.vision(normalise(images), &mut Trace::none()), &mut Trace::none());
        let embeddings = encoder.embeddings(vision.clone(), &mut Trace::none());
        let is_alike = self.config.seed.features() == [1, self.config.seed.encoder.vit.embed_dim];
        (embeddings, is_alike.then(|| vision.mean_dim(1)))
    }
}

/// Pictures `[batch, 3, side, side]` mirrored, and cut to seven to ten tenths of their sides anywhere.
fn another_view(images: Tensor<4>, rng: &mut ChaCha8Rng) -> Tensor<4> {
    let [batch, channels, side, _] = images.dims();
    let kept = rng.random_range(side * 7 / 10..=side).max(1);
    let [top, left] = [0; 2].map(|_: usize| rng.random_range(0..=side - kept));
    let cut = images.flip([3]).slice([0..batch, 0..channels, top..top + kept, left..left + kept]);
    resize(cut, [side, side], Resampling::Bicubic)
}

fn is_encoder(name: &str) -> bool {
    ENCODER.iter().any(|part| name.starts_with(part))
}

impl Objective for SeedPixelsObjective {
    type Network = SeedPixelsNetwork;
    type Code = Tensor<2, Int>;

    fn specs(&self) -> &[ParamSpec] {
        &self.specs
    }

    fn is_trained(&self, name: &str) -> bool {
        self.config.pixels.train_encoder || !is_encoder(name)
    }

    fn image_size(&self) -> usize {
        self.config.seed.encoder.vit.img_size
    }

    fn token_counts(&self) -> Vec<usize> {
        token_counts(self.config.seed.encoder.num_query_token)
    }

    fn codes(&self) -> usize {
        self.config.seed.n_embed
    }

    fn losses(
        &self,
        network: &SeedPixelsNetwork,
        images: Tensor<4>,
        step: u64,
        rng: &mut ChaCha8Rng,
    ) -> Result<Losses, TrainError> {
        let trains_encoder = self.config.pixels.train_encoder;
        let (embeddings, teacher) = match trains_encoder {
            // What it would learn from changes with it, so there is no teacher.
            true => (network.seed().encoder().forward(normalise(images.clone()), &mut Trace::none()), None),
            false => {
                let (embeddings, teacher) = self.see(network, images.clone());
                (embeddings.autodiff(), teacher.map(Tensor::autodiff))
            }
        };
        let (alignment, teacher) = match &self.alignment {
            Some((weight, net)) => {
                let features = net.pooled(images.clone()).autodiff();
                let [batch, channels] = features.dims();
                (Some(*weight), Some(features.reshape([batch, 1, channels])))
            }
            None => (None, teacher),
        };
        let ([batch, tokens, _], side) = (embeddings.dims(), self.config.pixels.side);
        let plain = embeddings.device().without_autodiff();
        let draws = draw(&self.config.pixels, tokens, batch, rng);
        let noise = flow_noise(rng.random(), 0, [batch, 3, side, side], &plain).autodiff();
        let contrast = (self.config.pixels.contrast > 0.0).then(|| {
            let view = normalise(another_view(images.clone(), rng));
            let second = network.seed().encoder().forward(view, &mut Trace::none());
            view_contrast(network, embeddings.clone(), second, TEMPERATURE)
        });
        let images = resize(images, [side, side], Resampling::Bicubic);
        let weights = self.config.seed.loss_weights;
        let batch = PixelBatch { embeddings, images, noise, draws, teacher, trains_encoder };
        let losses = pixel_losses(network, batch, &weights).map_err(|error| TrainError::Codec(error.into()))?;
        let share = if self.ramp > 0.0 { ((step + 1) as f64 / self.ramp).min(1.0) } else { 1.0 };
        let mut others = vec![("vq", weights.embed, losses.codec.quantizer)];
        others.extend(losses.codec.reconstruction.map(|loss| ("embeddings", weights.recon, loss)));
        others.extend(
            losses.codec.distillation.map(|loss| ("features", alignment.unwrap_or(weights.distil_image), loss)),
        );
        others.extend(contrast.map(|loss| ("contrast", self.config.pixels.contrast, loss)));
        Ok(Losses {
            reconstruction: losses.pixels.mul_scalar(share),
            quantizer: None,
            others,
            indices: Some(losses.codec.indices),
            latents: Some(losses.codec.latents.detach()),
            image: None,
        })
    }

    fn codebook<'a>(&self, network: &'a mut SeedPixelsNetwork) -> Option<Codebook<'a>> {
        Some(Codebook { names: EMBEDDING, codes: network.seed_mut().codec_mut().quantizer_mut() })
    }

    fn encode(&self, network: &SeedPixelsNetwork, images: Tensor<4>) -> Tensor<2, Int> {
        network.seed().encode(normalise(images))
    }

    fn ids(code: &Tensor<2, Int>) -> Option<Tensor<2, Int>> {
        Some(code.clone())
    }

    fn reconstruct(&self, network: &SeedPixelsNetwork, code: &Tensor<2, Int>, keep: usize) -> Option<Tensor<4>> {
        let ([batch, _], pixels) = (code.dims(), &self.config.pixels);
        let codec = network.seed().codec();
        let dequantized = codec.dequantize(codec.quantizer().vectors(code.clone()), &mut Trace::none());
        let condition = network.condition(dequantized, &vec![Shown::prefix(keep); batch]);
        let noise = flow_noise(0, 0, [batch, 3, pixels.side, pixels.side], &code.device());
        let guidance = Guidance::Constant(pixels.guidance as f32);
        let sampling = PixelSampling { steps: pixels.steps, guidance };
        let pictures = sample_pixels(network.pixels(), condition, noise, &sampling).add_scalar(1.0).mul_scalar(0.5);
        Some(resize(pictures, [self.image_size(); 2], Resampling::Bicubic))
    }

    fn config(&self, _network: &SeedPixelsNetwork, _sample: Option<Tensor<4>>) -> serde_json::Value {
        self.config.to_value()
    }

    fn reconstruction_name(&self) -> &'static str {
        "pixels"
    }
}
