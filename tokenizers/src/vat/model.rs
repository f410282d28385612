//! The network.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use tessera_layers::{ParamResult, Params, Trace};

use super::{Moments, Occupancy, PlaneUpsampler, PointsConfig, VatConfig, VatDecoder, VatEncoder, point_features};
use crate::quantizers::ScaleQuantizer;
use crate::quantizers::scales::ScaleNames;

/// Everything under `encoder`, `quantizer`, `decoder`, `planes`, `occupancy`.
#[derive(Module, Debug)]
pub struct VatNetwork {
    encoder: VatEncoder,
    quantizer: ScaleQuantizer,
    decoder: VatDecoder,
    planes: PlaneUpsampler,
    occupancy: Occupancy,
    #[module(skip)]
    input: PointsConfig,
}

impl VatNetwork {
    /// Takes every tensor. `config` must have passed [`VatConfig::check`].
    pub fn new(params: &Params, config: &VatConfig) -> ParamResult<Self> {
        let sizes = [config.num_latents, config.latent_dim];
        let (channels, bounds) = (config.triplane.out_channels, config.triplane.bounds);
        Ok(Self {
            encoder: VatEncoder::new(&params.at("encoder"), config)?,
            quantizer: ScaleQuantizer::new(&params.at("quantizer"), &config.quantizer, sizes, ScaleNames::Plain)?,
            decoder: VatDecoder::new(&params.at("decoder"), config)?,
            planes: PlaneUpsampler::new(&params.at("planes"), config)?,
            occupancy: Occupancy::new(&params.at("occupancy"), &config.occupancy, channels, bounds)?,
            input: config.input.clone(),
        })
    }

    /// Points `[batch, n, 3]` and, where the model takes them, their normals to a distribution over latents.
    ///
    /// Reports `encoder.point_features` and what [`VatEncoder::forward`] does to `trace`.
    pub fn moments(&self, points: Tensor<3>, normals: Option<Tensor<3>>, trace: &mut Trace) -> Moments {
        let features = point_features(points, normals, &self.input);
        trace.see("encoder.point_features", || features.clone());
        self.encoder.forward(features, &mut trace.at("encoder"))
    }

    /// Latents, or sums of codes, `[batch, latents, width]` to planes `[batch, 3, channels, side, side]`.
    ///
    /// Reports what decoder and upsampler do to `trace`, under `decoder` and `planes`; the planes of all items one after the other.
    pub fn planes(&self, latents: Tensor<3>, trace: &mut Trace) -> Tensor<5> {
        let [batch, ..] = latents.dims();
        let low = self.decoder.forward(latents, &mut trace.at("decoder"));
        let planes = self.planes.forward(low, &mut trace.at("planes"));
        let [_, channels, rows, columns] = planes.dims();
        planes.reshape([batch, 3, channels, rows, columns])
    }

    /// Logits `[batch, n]` of points `[batch, n, 3]`.
    ///
    /// Reports `occupancy.features` to `trace`.
    pub fn logits(&self, planes: Tensor<5>, points: Tensor<3>, trace: &mut Trace) -> Tensor<2> {
        self.occupancy.forward(planes, points, &mut trace.at("occupancy"))
    }

    /// The quantizer.
    pub fn quantizer(&self) -> &ScaleQuantizer {
        &self.quantizer
    }

    /// The quantizer, to move its codes.
    pub fn quantizer_mut(&mut self) -> &mut ScaleQuantizer {
        &mut self.quantizer
    }

    /// The MLP.
    pub fn occupancy(&self) -> &Occupancy {
        &self.occupancy
    }

    /// The device that the parameters are on.
    pub fn device(&self) -> Device {
        self.quantizer.codes().codebook().device()
    }
}
