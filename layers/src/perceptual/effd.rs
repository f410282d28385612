//! "effd", a perceptual distance on EfficientNet-Lite0.

use burn::tensor::Tensor;

use super::unit::unit;
use super::{EfficientNetLite0, Resampling, resize};

/// Blocks whose outputs the metric compares: strides 2, 4, 8, 16 and 32.
const METRIC: [usize; 5] = [0, 2, 4, 10, 15];
/// Pictures with a side up to this are enlarged before a training loss compares them.
const SMALL: usize = 64;
/// The shorter side of an enlarged picture, at least.
const ENLARGED: usize = 128;

/// Perceptual distance of pictures: squared differences of features of unit length, averaged over the picture, then over
/// the blocks compared. Zero for equal pictures, about 0.1 where a change begins to be seen, 1 where little is left.
///
/// The recipe is that of LPIPS (Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a Perceptual
/// Metric", section 3) without its learned channel weights, on another network: it is not LPIPS and must not stand
/// beside published values of it.
///
/// ```no_run
/// use burn::tensor::{Device, Tensor};
/// use tessera_layers::{checkpoint::Weights, perceptual::{EfficientNetLite0, Effd}};
///
/// let device = Device::flex();
/// let net = EfficientNetLite0::load(&Weights::open("model.safetensors".as_ref())?, &device)?;
/// let (a, b) = (Tensor::<4>::zeros([2, 3, 64, 64], &device), Tensor::<4>::ones([2, 3, 64, 64], &device));
/// let distances = Effd::new(net.clone()).distance(a.clone(), b.clone()); // [2]
/// let loss = Effd::training(net).loss(a, b).mean();
/// # Ok::<(), tessera_layers::checkpoint::CheckpointError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Effd {
    net: EfficientNetLite0,
    taps: Vec<usize>,
}

impl Effd {
    /// The metric: blocks 0, 2, 4, 10 and 15.
    pub fn new(net: EfficientNetLite0) -> Self {
        Self { net, taps: METRIC.to_vec() }
    }

    /// For training: blocks 0, 2 and 4, which see detail.
    pub fn training(net: EfficientNetLite0) -> Self {
        Self { net, taps: vec![0, 2, 4] }
    }

    /// For training: blocks 0, 2, 4 and 10, which sees objects too and costs about twice as much.
    pub fn training_deep(net: EfficientNetLite0) -> Self {
        Self { net, taps: vec![0, 2, 4, 10] }
    }

    /// The blocks that are compared.
    pub fn taps(&self) -> &[usize] {
        &self.taps
    }

    /// Distances of pairs: `a` and `b` `[batch, 3, height, width]` in 0..=1, result `[batch]`. Gradients flow to both.
    ///
    /// # Panics
    /// If the shapes differ: a shape error, as in any tensor operation.
    pub fn distance(&self, a: Tensor<4>, b: Tensor<4>) -> Tensor<1> {
        self.per_tap(a, b).mean_dim(1).squeeze_dim(1)
    }

    /// [`Effd::distance`] before the mean over the blocks: `[batch, blocks]`, in the order of [`Effd::taps`].
    ///
    /// # Panics
    /// As [`Effd::distance`].
    pub fn per_tap(&self, a: Tensor<4>, b: Tensor<4>) -> Tensor<2> {
        let targets = self.net.features(b, &self.taps).into_iter().map(unit).collect();
        self.compare(a, targets)
    }

    /// The training form: distances `[batch]` of `x` from `target`, both `[batch, 3, height, width]` in 0..=1. Gradients
    /// flow to `x` alone. Pictures with a side of 64 pixels or less are enlarged first, bilinearly and by a whole number,
    /// until the shorter side has 128 or more: the network was trained on larger ones.
    ///
    /// # Panics
    /// As [`Effd::distance`].
    pub fn loss(&self, x: Tensor<4>, target: Tensor<4>) -> Tensor<1> {
        // Off the autodiff device nothing is kept for a backward pass.
        let target = target.without_autodiff();
        let maps = self.net.features(enlarged(target), &self.taps);
        let lift = |map: Tensor<4>| if x.is_autodiff() { map.autodiff() } else { map };
        let targets = maps.into_iter().map(unit).map(lift).collect();
        self.compare(enlarged(x), targets).mean_dim(1).squeeze_dim(1)
    }

    fn compare(&self, a: Tensor<4>, targets: Vec<Tensor<4>>) -> Tensor<2> {
        let maps = self.net.features(a, &self.taps);
        let distances = maps.into_iter().zip(targets).map(|(a, target)| {
            let [batch, _, height, width] = a.dims();
            let difference = (unit(a) - target).square().sum_dim(1);
            difference.reshape([batch, height * width]).mean_dim(1)
        });
        Tensor::cat(distances.collect(), 1)
    }
}

fn enlarged(x: Tensor<4>) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    let shorter = height.min(width);
    if shorter == 0 || shorter > SMALL {
        return x;
    }
    let times = ENLARGED.div_ceil(shorter);
    resize(x, [height * times, width * times], Resampling::Bilinear)
}
