//! Networks that judge pictures: distances that see as people do, and features whose statistics are compared.
//!
//! | name | what it gives | weights |
//! |---|---|---|
//! | [`Effd`] | distance of two pictures on [`EfficientNetLite0`]; also a training loss | in this repository |
//! | [`Lpips`] | LPIPS v0.1 on [`Backbone`]s of torchvision | the user's |
//! | [`EfficientNetLite0`] | features, `pooled` for the kernel distance "KID-EffLite0" | in this repository |
//! | [`Inception`] | pool3 features of the network that FID names | the user's |
//!
//! All of them take pictures `[batch, 3, height, width]`, RGB in 0..=1. Their weights are frozen: gradients flow to the
//! pictures alone.

mod backbone;
mod conv;
mod effd;
mod efficientnet_lite0;
mod inception;
mod lpips;
mod stem;
mod unit;

pub use crate::resample::{Resampling, resize};
pub use backbone::Backbone;
pub use effd::Effd;
pub use efficientnet_lite0::EfficientNetLite0;
pub use inception::Inception;
pub use lpips::Lpips;
