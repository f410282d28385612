//! Measuring pictures and models.

mod distribution;
mod feature_net;

pub use distribution::{
    DistributionError, FeatureSet, KernelDistance, KernelOptions, frechet_distance, kernel_distance,
};
pub use feature_net::FeatureNet;
