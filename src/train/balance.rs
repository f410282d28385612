//! How much the adversarial term counts beside the reconstruction, by the lengths of their gradients.
//!
//! Source: Esser, Rombach and Ommer 2021, "Taming Transformers for High-Resolution Image Synthesis" (arXiv 2012.09841, equation 7), with the bounds of
//! DualToken's training script.

use burn::tensor::Tensor;
use tessera_layers::Conv2d;

/// The decoder's last layer, and what it made reconstructions of.
pub struct LastLayer {
    /// `[batch, width, side, side]`, without a gradient.
    pub features: Tensor<4>,
    /// Makes pictures in -1..=1 of them.
    pub layer: Conv2d,
}

/// Bounds of a balance.
const BOUNDS: [f64; 2] = [0.3, 10.0];

/// Length of the gradient of `reconstruction`, by the last layer's weight, over that of `adversarial`: what the adversarial term is to be multiplied
/// with. Both are given pictures `[batch, 3, side, side]` in 0..=1, not clamped. No number if one of them is none.
pub fn balance(
    last: &LastLayer,
    reconstruction: impl FnOnce(Tensor<4>) -> Tensor<1>,
    adversarial: impl FnOnce(Tensor<4>) -> Tensor<1>,
) -> f64 {
    let image = |pixels: Tensor<4>| pixels.add_scalar(1.0).mul_scalar(0.5);
    let LastLayer { features, layer } = last;
    let of_reconstruction = layer.weight_gradient(features.clone(), |pixels| reconstruction(image(pixels)));
    let of_adversarial = layer.weight_gradient(features.clone(), |pixels| adversarial(image(pixels)));
    let length = |gradient: Option<Tensor<4>>| {
        gradient.map_or(0.0, |gradient| f64::from(gradient.square().sum().sqrt().into_scalar::<f32>()))
    };
    let [least, most] = BOUNDS;
    (length(of_reconstruction) / (length(of_adversarial) + 1e-4)).clamp(least, most)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};
    use tessera_layers::{Init, ParamSource};

    use super::*;

    #[test]
    fn a_balance_is_the_ratio_of_both_gradients_within_bounds() {
        let device = Device::flex().autodiff();
        let layer = Conv2d::uniform(&ParamSource::seeded(1, &device).root(), [4, 3], 3).unwrap();
        let draw = |shape: [usize; 4], name: &str| {
            let values = Init::Normal(0.5).values(shape.iter().product(), 1, name);
            Tensor::<4>::from_data(TensorData::new(values, shape), &device).abs()
        };
        let last = LastLayer { features: draw([2, 4, 6, 6], "features"), layer };
        let targets = draw([2, 3, 6, 6], "targets");
        let error = |image: Tensor<4>| (image - targets.clone()).square().mean();
        // The same term with other weights: its gradients are as much longer, up to what keeps the divisor from zero.
        for (weight, expected) in [(1.0, 1.0), (0.5, 2.0), (0.2, 5.0), (0.01, 10.0), (20.0, 0.3)] {
            let found = balance(&last, error, |image| error(image).mul_scalar(weight));
            assert!((found / expected - 1.0).abs() < 0.02, "{weight}: {found}");
        }
        // A term that does not depend on the picture.
        let nothing = balance(&last, error, |image| image.detach().mean().require_grad());
        assert!((nothing - 10.0).abs() < 1e-9, "{nothing}");
        // By hand: a loss that is linear in the pixels has the sums of the features as its gradient.
        let sums = |image: Tensor<4>| image.sum();
        let gradient = last.layer.weight_gradient(last.features.clone(), sums).unwrap();
        let middle: f32 = gradient.slice([0..1, 2..3, 1..2, 1..2]).into_scalar();
        let features: f32 = last.features.clone().slice([0..2, 2..3, 0..6, 0..6]).sum().into_scalar();
        assert!((middle - features).abs() < 1e-3 * features, "{middle} {features}");
        // The layer's own weight has learnt nothing of all this.
        assert!(balance(&last, |image| image.mean() * f32::NAN, sums).is_nan());
    }
}
