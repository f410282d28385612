//! LPIPS v0.1, for who has the weights.

use burn::tensor::{Device, Tensor, TensorData};

use super::Backbone;
use super::backbone::Net;
use super::conv::{beside, frozen};
use super::unit::unit;
use crate::Init;
use crate::checkpoint::{CheckpointError, Weights, load_strict};
use crate::params::{ParamResult, Params};

/// Mean and spread of ImageNet's channels on the scale -1..=1 (LPIPS' scaling layer).
const SHIFT: [f32; 3] = [-0.030, -0.088, -0.188];
const SCALE: [f32; 3] = [0.458, 0.448, 0.450];

/// Learned perceptual distance of pictures: squared differences of a backbone's features of unit length, weighted by
/// channel, averaged over the picture and summed over the maps.
///
/// No weights are shipped: the backbone is torchvision's released file, the heads are the file of version 0.1 in the
/// Python package `lpips` (`weights/v0.1/alex.pth`, `vgg.pth` or `squeeze.pth`).
///
/// Source: Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", section 3.
#[derive(Debug, Clone)]
pub struct Lpips {
    net: Net,
    /// `[1, channels, 1, 1]` of each map.
    heads: Vec<Tensor<4>>,
    shift: Tensor<4>,
    scale: Tensor<4>,
}

impl Lpips {
    /// Makes the distance of a backbone's file (its classifier is left aside) and a file of heads
    /// (`linN.model.1.weight`), both loaded strictly.
    ///
    /// # Errors
    /// [`CheckpointError`] if a tensor is missing, surplus, misshapen or unreadable in either.
    pub fn load(
        backbone: Backbone,
        features: &Weights,
        heads: &Weights,
        device: &Device,
    ) -> Result<Self, CheckpointError> {
        let device = device.clone().without_autodiff();
        let (net, ..) = load_strict(features, backbone.surplus(), &device, |params| Net::new(params, backbone))?;
        let (heads, ..) = load_strict(heads, &[], &device, |params| read_heads(params, backbone))?;
        let channels = |values: [f32; 3]| Tensor::from_data(TensorData::new(values.to_vec(), [1, 3, 1, 1]), &device);
        Ok(Self { net, heads, shift: channels(SHIFT), scale: channels(SCALE) })
    }

    /// Distances of pairs: `a` and `b` `[batch, 3, height, width]` in 0..=1, result `[batch]`. Gradients flow to both.
    ///
    /// # Panics
    /// If the shapes differ or the pictures are too small for the backbone (AlexNet and SqueezeNet need about 32
    /// pixels, VGG16 needs 16): a shape error, as in any tensor operation.
    pub fn distance(&self, a: Tensor<4>, b: Tensor<4>) -> Tensor<1> {
        let batch = a.dims()[0];
        let maps = [a, b].map(|rgb| self.net.features(self.scaled(rgb)).into_iter().map(unit));
        let [a, b] = maps;
        let parts = a.zip(b).zip(&self.heads).map(|((a, b), head)| {
            let head = beside(head, &a);
            let [_, _, height, width] = a.dims();
            let weighted = ((a - b).square() * head).sum_dim(1);
            weighted.reshape([batch, height * width]).mean_dim(1)
        });
        Tensor::cat(parts.collect(), 1).sum_dim(1).squeeze_dim(1)
    }

    fn scaled(&self, rgb: Tensor<4>) -> Tensor<4> {
        let (shift, scale) = (beside(&self.shift, &rgb), beside(&self.scale, &rgb));
        (rgb * 2.0 - 1.0 - shift) / scale
    }
}

fn read_heads(params: &Params, backbone: Backbone) -> ParamResult<Vec<Tensor<4>>> {
    let head = |(index, &channels): (usize, &usize)| {
        let name = format!("lin{index}.model.1.weight");
        params.tensor(&name, [1, channels, 1, 1], Init::Normal(0.02)).map(|head| frozen(params, head))
    };
    backbone.channels().iter().enumerate().map(head).collect()
}
