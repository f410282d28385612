//! How a parameter starts when no checkpoint gives it.

use rand::Rng as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};

/// Distribution of a parameter's starting values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// All zero (biases).
    Zeros,
    /// All one (normalisation weights).
    Ones,
    /// All of this value.
    Constant(f32),
    /// Normal with mean 0 and this standard deviation.
    ///
    /// Stands for `trunc_normal_(std)` too: its cut at +-2 lies a hundred deviations out at the usual 0.02.
    Normal(f32),
    /// Uniform in `-bound..bound`.
    Uniform(f32),
    /// Sines and cosines of the two coordinates of a grid, `[1, channels, height, width]`; no chance in it.
    SinCosGrid {
        /// Rows of the grid.
        height: usize,
        /// Columns of the grid.
        width: usize,
    },
}

impl Init {
    /// Xavier-uniform for a matrix of `inputs` columns and `outputs` rows.
    pub fn xavier_uniform(inputs: usize, outputs: usize) -> Self {
        Init::Uniform((6.0 / (inputs + outputs) as f32).sqrt())
    }

    /// Uniform in one over the root of `inputs`, the number of values that each output is a sum over: the start of
    /// PyTorch's linear and convolution layers.
    pub fn uniform_fan_in(inputs: usize) -> Self {
        Init::Uniform(1.0 / (inputs.max(1) as f32).sqrt())
    }

    /// The same distribution `factor` times as wide.
    pub fn scaled(self, factor: f32) -> Self {
        match self {
            Init::Zeros | Init::Ones | Init::Constant(_) | Init::SinCosGrid { .. } => self,
            Init::Normal(deviation) => Init::Normal(deviation * factor),
            Init::Uniform(bound) => Init::Uniform(bound * factor),
        }
    }

    /// `count` values for the parameter `name`; the same `seed` and `name` give the same values everywhere,
    /// in whatever order a model makes its parameters.
    pub fn values(self, count: usize, seed: u64, name: &str) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ fnv1a(name));
        match self {
            Init::Zeros => vec![0.0; count],
            Init::Ones => vec![1.0; count],
            Init::Constant(value) => vec![value; count],
            Init::Normal(deviation) => (0..count)
                .map(|_| {
                    let standard: f32 = StandardNormal.sample(&mut rng);
                    standard * deviation
                })
                .collect(),
            Init::Uniform(bound) => (0..count).map(|_| (rng.random::<f32>() * 2.0 - 1.0) * bound).collect(),
            Init::SinCosGrid { height, width } => sin_cos_grid(count / (height * width).max(1), height, width),
        }
    }
}

/// `[channels, height, width]`: with the frequencies `10000^(-j / q)`, `q = channels / 4`, a quarter each of the sine and
/// cosine of `n / height` and of `n % height`, where `n` counts cells row by row.
///
/// For squares that is row and column. For other grids it is not, but so the released tables are made.
fn sin_cos_grid(channels: usize, height: usize, width: usize) -> Vec<f32> {
    let quarter = (channels / 4).max(1);
    let value = |channel: usize, cell: usize| {
        let place = if channel / quarter < 2 { cell / height } else { cell % height };
        let frequency = 10_000_f64.powf(-((channel % quarter) as f64) / quarter as f64);
        let angle = place as f64 * frequency;
        (if (channel / quarter).is_multiple_of(2) { angle.sin() } else { angle.cos() }) as f32
    };
    (0..channels).flat_map(|channel| (0..height * width).map(move |cell| value(channel, cell))).collect()
}

fn fnv1a(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_depend_on_seed_and_name_alone() {
        let a = Init::Normal(0.02).values(1000, 1, "encoder.weight");
        assert_eq!(a, Init::Normal(0.02).values(1000, 1, "encoder.weight"));
        assert_ne!(a, Init::Normal(0.02).values(1000, 2, "encoder.weight"));
        assert_ne!(a, Init::Normal(0.02).values(1000, 1, "decoder.weight"));
        let deviation = (a.iter().map(|x| x * x).sum::<f32>() / 1000.0).sqrt();
        assert!((deviation - 0.02).abs() < 0.002, "{deviation}");
        let bound = Init::Uniform(0.5).values(1000, 1, "x");
        assert!(bound.iter().all(|x| x.abs() <= 0.5) && bound.iter().any(|x| *x < -0.4));
    }
}
