//! Features on the planes to a logit.

use burn::module::Module;
use burn::tensor::{Tensor, activation};
use tessera_layers::{Linear, ParamResult, Params, Trace};
use tessera_shaders::{PlaneMerge, triplane_sample};

use super::OccupancyConfig;
use super::encoder::linear;

/// Linear layers with ReLU between them, on the features of the three planes side by side.
#[derive(Module, Debug)]
pub struct Occupancy {
    layers: Vec<Linear>,
    hidden: usize,
    bounds: f64,
}

impl Occupancy {
    /// Takes `layers.<i>` for planes of `channels` channels that cover -bounds..=bounds. `config` must have passed
    /// [`OccupancyConfig::check`].
    pub fn new(params: &Params, config: &OccupancyConfig, channels: usize, bounds: f64) -> ParamResult<Self> {
        let layer = |index: usize| {
            let inputs = if index == 0 { 3 * channels } else { config.hidden };
            let outputs = if index + 1 == config.layers { 1 } else { config.hidden };
            linear(&params.at("layers").at(index), inputs, outputs)
        };
        let layers = (0..config.layers).map(layer).collect::<ParamResult<_>>()?;
        Ok(Self { layers, hidden: config.hidden, bounds })
    }

    /// Half the side of the box that planes cover.
    pub fn bounds(&self) -> f64 {
        self.bounds
    }

    /// Numbers that a point takes while it goes through: its features and two layers.
    pub(super) fn width(&self, channels: usize) -> usize {
        3 + 3 * channels + 2 * self.hidden
    }

    /// Logits `[batch, n]` of points `[batch, n, 3]` on planes `[batch, 3, channels, side, side]`; inside is a logit from 0 on.
    /// Points outside the box are taken to its border.
    ///
    /// Reports `features` to `trace`.
    pub fn forward(&self, planes: Tensor<5>, points: Tensor<3>, trace: &mut Trace) -> Tensor<2> {
        let [batch, count, _] = points.dims();
        let mut x = triplane_sample(planes, points.div_scalar(self.bounds), PlaneMerge::Concat);
        trace.see("features", || x.clone());
        for (index, layer) in self.layers.iter().enumerate() {
            if index > 0 {
                x = activation::relu(x);
            }
            x = layer.forward(x);
        }
        x.reshape([batch, count])
    }
}
