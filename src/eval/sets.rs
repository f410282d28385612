//! Features of all pictures of an evaluation, and how far apart they lie.

use std::collections::BTreeMap;

use burn::tensor::Device;
use serde::Serialize;
use tessera_datasets::Picture;

use super::distribution::{FeatureSet, KernelOptions, frechet_distance, kernel_distance};
use super::feature_net::FeatureNet;
use crate::Error;
use crate::squares::{parts, to_tensor};

/// The distance of the set of decoded pictures from the set of originals.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SetDistance {
    /// The distance.
    pub value: f64,
    /// Standard deviation over subsets, of kernel distances of more pictures than a subset has.
    pub deviation: Option<f64>,
    /// Pictures compared. Distances of sets of different sizes must not stand side by side.
    pub pictures: usize,
}

/// Distances of sets by name.
pub type SetDistances = BTreeMap<String, SetDistance>;

/// Most pictures whose features of the built-in network are kept, so that a long evaluation does not fill the memory:
/// 5 kB a picture and point. A kernel distance has no bias that more pictures would take away.
const MOST: usize = 10_000;

/// Features of one set of pictures by every network.
pub(super) struct Features(Vec<FeatureSet>);

impl Features {
    pub(super) fn new(nets: &[FeatureNet]) -> Self {
        Self(nets.iter().map(FeatureNet::empty_set).collect())
    }

    /// Those of the first network.
    pub(super) fn first(&self) -> Option<&FeatureSet> {
        self.0.first()
    }

    pub(super) fn add(&mut self, nets: &[FeatureNet], pictures: &[Picture], device: &Device) -> Result<(), Error> {
        for (net, set) in nets.iter().zip(&mut self.0) {
            if matches!(net, FeatureNet::EfficientNetLite0(_)) && set.len() >= MOST {
                continue;
            }
            for part in parts(pictures) {
                net.add(to_tensor(part, device), set)?;
            }
        }
        Ok(())
    }

    /// Kernel distances; of Inception's features, which FID is defined on, the Frechet distance too. None of fewer than
    /// two pictures.
    pub(super) fn distances(&self, nets: &[FeatureNet], originals: &Self) -> Result<SetDistances, Error> {
        let mut found = SetDistances::new();
        for (net, (decoded, originals)) in nets.iter().zip(self.0.iter().zip(&originals.0)) {
            let pictures = decoded.len().min(originals.len());
            if pictures < 2 {
                continue;
            }
            let usual = KernelOptions::default();
            // Subsets that hold all pictures are all the same.
            let subsets = if pictures <= usual.subset_size { 1 } else { usual.subsets };
            let kernel = kernel_distance(originals, decoded, &KernelOptions { subsets, ..usual })?;
            let deviation = (subsets > 1).then_some(kernel.deviation);
            found.insert(net.kernel_name().to_owned(), SetDistance { value: kernel.mean, deviation, pictures });
            if matches!(net, FeatureNet::Inception(_)) {
                let value = frechet_distance(originals, decoded)?;
                found.insert(net.frechet_name().to_owned(), SetDistance { value, deviation: None, pictures });
            }
        }
        Ok(found)
    }
}
