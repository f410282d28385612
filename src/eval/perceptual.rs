//! Distances that a network measures: the slot, and what fills it.

use burn::tensor::{Device, Tensor};
use tessera_datasets::Picture;
use tessera_layers::perceptual::{Effd, Lpips};

use crate::Error;
use crate::squares::{parts, to_tensor};

/// A distance between a picture and its reconstruction that is computed by a network; 0 for equal pictures.
///
/// ```
/// use tessera::datasets::Picture;
/// use tessera::eval::PerceptualMetric;
///
/// /// The largest difference of any byte.
/// struct Largest;
///
/// impl PerceptualMetric for Largest {
///     fn name(&self) -> &str {
///         "largest"
///     }
///
///     fn distances(&self, originals: &[Picture], others: &[Picture]) -> Result<Vec<f64>, tessera::Error> {
///         let largest = |(a, b): (&Picture, &Picture)| {
///             let differences = a.rgb().iter().zip(b.rgb()).map(|(&a, &b)| a.abs_diff(b));
///             f64::from(differences.max().unwrap_or(0))
///         };
///         Ok(originals.iter().zip(others).map(largest).collect())
///     }
/// }
/// ```
pub trait PerceptualMetric {
    /// What it is called in tables and reports.
    fn name(&self) -> &str;

    /// The distance of each pair; both slices have the same length, and both pictures of a pair the same size.
    ///
    /// # Errors
    /// [`Error`] if the network fails.
    fn distances(&self, originals: &[Picture], others: &[Picture]) -> Result<Vec<f64>, Error>;
}

/// [`Effd`], reported as `effd`.
#[derive(Debug, Clone)]
pub struct EffdMetric {
    net: Effd,
    device: Device,
}

impl EffdMetric {
    /// The distance of the network that is built in, on a device.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if the built-in file does not fit the network, which the tests exclude.
    pub fn new(device: &Device) -> Result<Self, Error> {
        Ok(Self { net: Effd::new(crate::perceptual_net(device)?), device: device.clone() })
    }
}

impl PerceptualMetric for EffdMetric {
    fn name(&self) -> &str {
        "effd"
    }

    fn distances(&self, originals: &[Picture], others: &[Picture]) -> Result<Vec<f64>, Error> {
        Ok(pairs(originals, others, &self.device, |a, b| self.net.distance(a, b)))
    }
}

/// [`Lpips`] from the user's files, reported as `LPIPS`.
#[derive(Debug, Clone)]
pub struct LpipsMetric {
    net: Lpips,
    device: Device,
}

/// The shortest side that every backbone of LPIPS takes.
const LEAST_LPIPS_SIDE: u32 = 35;

impl LpipsMetric {
    /// The distance of a network on a device.
    pub fn new(net: Lpips, device: &Device) -> Self {
        Self { net, device: device.clone() }
    }
}

impl PerceptualMetric for LpipsMetric {
    fn name(&self) -> &str {
        "LPIPS"
    }

    fn distances(&self, originals: &[Picture], others: &[Picture]) -> Result<Vec<f64>, Error> {
        if let Some(small) = originals.iter().find(|it| it.width().min(it.height()) < LEAST_LPIPS_SIDE) {
            let (width, height) = (small.width(), small.height());
            return Err(Error::TooSmall { width, height, least: LEAST_LPIPS_SIDE });
        }
        Ok(pairs(originals, others, &self.device, |a, b| self.net.distance(a, b)))
    }
}

/// The distances of pairs, in batches of pictures of one size.
fn pairs(
    originals: &[Picture],
    others: &[Picture],
    device: &Device,
    distance: impl Fn(Tensor<4>, Tensor<4>) -> Tensor<1>,
) -> Vec<f64> {
    // Both slices hold the same sizes in the same order, so their parts fit each other.
    parts(originals)
        .zip(parts(others))
        .flat_map(|(a, b)| {
            let distances = distance(to_tensor(a, device), to_tensor(b, device)).into_data();
            distances.iter::<f64>().collect::<Vec<_>>()
        })
        .collect()
}
