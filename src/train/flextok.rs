//! Training FlexTok on the latents of a frozen autoencoder.

use std::collections::HashMap;
use std::ops::ControlFlow;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use tessera_layers::{ParamSource, ParamSpec, Trace};
use tessera_shaders::Projection;
use tessera_tokenizers::flextok::train::{draw, flow_loss};
use tessera_tokenizers::flextok::{
    AlignmentHead, FlexTokConfig, FlexTokNetwork, FlowSampling, FlowStep, Guidance, flow_noise, metadata, sample_flow,
};

use super::architecture::open_weights;
use super::objective::{Losses, Objective};
use super::parameters::{Named, Parameters, read_named};
use super::teacher::{Target, Teacher};
use super::{TrainConfig, TrainError};

/// Flow matching with nested dropout, and alignment with a teacher's features where its weight is not zero.
pub struct FlexTokObjective {
    config: FlexTokConfig,
    specs: Vec<ParamSpec>,
    side: usize,
    excess_weight: f64,
    alignment: Option<Alignment>,
    parameters: Parameters,
}

/// The network that is trained: the model, and what only helps to train it.
#[derive(Module, Debug)]
pub struct FlexTokTraining {
    model: FlexTokNetwork,
    head: Option<AlignmentHead>,
}

struct Alignment {
    weight: f64,
    layer: usize,
    teacher: Teacher,
}

/// Names of parameters that the finished model does not have.
const HELPERS: &str = "alignment";
/// Names of the autoencoder's parameters.
const FROZEN: &str = "vae.";
/// Steps of a validation's sampling.
const VALIDATION_STEPS: usize = 8;

impl FlexTokObjective {
    /// The objective and the network at its start, on an autodiff device.
    ///
    /// # Errors
    /// [`TrainError`] if settings do not fit the architecture, or weights cannot be loaded.
    pub fn new(
        config: &TrainConfig,
        architecture: FlexTokConfig,
        device: &Device,
    ) -> Result<(Self, FlexTokTraining), TrainError> {
        super::objectives::only_single(config, "a FlexTok")?;
        let [height, width] = architecture.image_size();
        if height != width {
            return Err(TrainError::Invalid {
                key: "model.architecture",
                expected: "a FlexTok for square pictures".to_owned(),
                found: format!("{height}x{width} pixels"),
            });
        }
        let loss = &config.loss;
        let depth = architecture.decoder.depth;
        if loss.alignment_weight > 0.0 && loss.alignment_layer >= depth {
            return Err(TrainError::Invalid {
                key: "loss.alignment_layer",
                expected: format!("a block of the decoder, 0 to {}", depth - 1),
                found: loss.alignment_layer.to_string(),
            });
        }
        let source = ParamSource::seeded(config.run.seed, device);
        let root = source.root();
        let model = FlexTokNetwork::new(&root, &architecture)?;
        let aligned = loss.alignment_weight > 0.0;
        let head = || AlignmentHead::new(&root.at(HELPERS), architecture.decoder.dim, Target::Places.width());
        let head = aligned.then(head).transpose()?;
        let alignment = match aligned {
            true => Some(Alignment {
                weight: loss.alignment_weight,
                layer: loss.alignment_layer,
                teacher: Teacher::new(device)?,
            }),
            false => None,
        };
        let specs = source.into_taken();
        let network = with_weights(FlexTokTraining { model, head }, &specs, config, device)?;
        let parameters = Parameters::new(&specs);
        Ok((
            Self {
                config: architecture,
                specs,
                side: height,
                excess_weight: loss.excess_weight,
                alignment,
                parameters,
            },
            network,
        ))
    }

    /// Scaled latents of pictures `[batch, 3, side, side]` in 0..=1, on the device without autodiff.
    fn latents(&self, network: &FlexTokTraining, images: Tensor<4>) -> Tensor<4> {
        // The parameters are shared, not copied.
        let plain = self.parameters.map_plain(network.model.clone(), |_, value| Some(value));
        let images = images.without_autodiff().mul_scalar(2.0).sub_scalar(1.0);
        plain.scaled(plain.posterior(images, &mut Trace::none()).mean)
    }
}

/// The weights to start from: those of `--from`, or of the trained autoencoder that `--vae` names.
fn with_weights(
    network: FlexTokTraining,
    specs: &[ParamSpec],
    config: &TrainConfig,
    device: &Device,
) -> Result<FlexTokTraining, TrainError> {
    let plain = device.clone().without_autodiff();
    let (model, parts) = (&config.model, Parameters::new(specs));
    let frozen = specs.iter().any(|spec| spec.name.starts_with(FROZEN));
    let mut values = match (&model.from, &model.vae) {
        // A fixed transform makes the latents.
        (None, None) if !frozen => Named::new(),
        (Some(from), None) => {
            let wanted: Vec<ParamSpec> = specs.iter().filter(|spec| !spec.name.starts_with(HELPERS)).cloned().collect();
            read_named(&open_weights(from)?, &wanted, |_| true, &plain)?
        }
        (None, Some(vae)) if frozen => {
            const PREFIX: &str = "vae.vae.";
            let unprefixed = |spec: &ParamSpec| {
                spec.name.strip_prefix(PREFIX).map(|name| ParamSpec { name: name.to_owned(), ..spec.clone() })
            };
            let wanted: Vec<ParamSpec> = specs.iter().filter_map(unprefixed).collect();
            let values = read_named(&open_weights(vae)?, &wanted, |_| true, &plain)?;
            values.into_iter().map(|(name, value)| (format!("{PREFIX}{name}"), value)).collect()
        }
        _ => {
            return Err(TrainError::Invalid {
                key: "model.vae",
                expected:
                    "the trained autoencoder (--vae) or a whole FlexTok (--from), one of the two, and no --vae for an \
                           architecture whose latents are a fixed transform"
                        .to_owned(),
                found: if model.vae.is_some() { "--vae" } else { "neither" }.to_owned(),
            });
        }
    };
    Ok(parts.map(network, |spec, _| values.remove(&spec.name)))
}

impl Objective for FlexTokObjective {
    type Network = FlexTokTraining;
    type Code = Tensor<2, Int>;

    fn specs(&self) -> &[ParamSpec] {
        &self.specs
    }

    /// Everything but the autoencoder and the fixed tables of positions.
    fn is_trained(&self, name: &str) -> bool {
        let is_table =
            name.ends_with("enc_posemb_module.posembs") || name.ends_with("dec_patches_posemb_module.posembs");
        !name.starts_with(FROZEN) && !is_table
    }

    fn is_released(&self, name: &str) -> bool {
        !name.starts_with(HELPERS)
    }

    fn image_size(&self) -> usize {
        self.side
    }

    /// Powers of four and all tokens: each count costs a sampling.
    fn token_counts(&self) -> Vec<usize> {
        let all = self.config.registers;
        let powers = std::iter::successors(Some(1_usize), |count| count.checked_mul(4));
        powers.take_while(|count| *count < all).chain([all]).collect()
    }

    fn codes(&self) -> usize {
        usize::try_from(self.config.codes()).unwrap_or(0)
    }

    fn losses(
        &self,
        network: &FlexTokTraining,
        images: Tensor<4>,
        _step: u64,
        rng: &mut ChaCha8Rng,
    ) -> Result<Losses, TrainError> {
        let latents = self.latents(network, images.clone());
        let [batch, ..] = latents.dims();
        let draws = draw(&self.config, batch, rng);
        let noise = flow_noise(rng.random(), 0, latents.dims(), &latents.device());
        let layer = self.alignment.as_ref().map(|alignment| alignment.layer);
        let flow = flow_loss(&network.model, latents.autodiff(), noise.autodiff(), &draws, layer);
        let mut others = Vec::new();
        if self.excess_weight > 0.0 {
            others.push(("excess", self.excess_weight, flow.excess));
        }
        if let (Some(alignment), Some(head), Some(features)) = (&self.alignment, &network.head, flow.features) {
            let target = alignment.teacher.map(images, Target::Places, Teacher::SIDE);
            let [_, _, height, width] = flow.noised.dims();
            let [rows, columns] = self.config.decoder.patch;
            let grid = [height / rows, width / columns];
            others.push(("alignment", alignment.weight, head.loss(features, target.autodiff(), grid)));
        }
        Ok(Losses {
            reconstruction: flow.loss,
            quantizer: None,
            others,
            indices: Some(flow.ids),
            latents: None,
            image: None,
        })
    }

    fn encode(&self, network: &FlexTokTraining, images: Tensor<4>) -> Tensor<2, Int> {
        network.model.tokens(self.latents(network, images))
    }

    fn ids(code: &Tensor<2, Int>) -> Option<Tensor<2, Int>> {
        Some(code.clone())
    }

    fn reconstruct(&self, network: &FlexTokTraining, code: &Tensor<2, Int>, keep: usize) -> Option<Tensor<4>> {
        let ([batch, _], device) = (code.dims(), code.device());
        let cells = self.side / self.config.vae.architecture.cell();
        let shape = [batch, self.config.vae.architecture.channels(), cells, cells];
        let usual = &self.config.sampling;
        let sampling = FlowSampling {
            steps: VALIDATION_STEPS.min(usual.steps),
            guidance: Guidance::Constant(usual.guidance as f32),
            projection: usual.projected.then(Projection::default),
        };
        let codes = network.model.quantizer().vectors(code.clone());
        let noise = flow_noise(0, 0, shape, &device);
        let go_on = &mut |_: &FlowStep<'_>| ControlFlow::Continue(());
        let latents = sample_flow(&network.model, codes, &vec![keep; batch], noise, &sampling, go_on);
        let picture = network.model.picture(latents, &mut Trace::none());
        Some(picture.mul_scalar(0.5).add_scalar(0.5))
    }

    fn config(&self, _network: &FlexTokTraining, _sample: Option<Tensor<4>>) -> serde_json::Value {
        self.config.to_value()
    }

    fn metadata(&self) -> HashMap<String, String> {
        metadata(&self.config)
    }

    fn reconstruction_name(&self) -> &'static str {
        "flow"
    }
}
