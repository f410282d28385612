//! The networks that judge pictures, against recorded values.

#[path = "perceptual/efficientnet.rs"]
mod efficientnet;
#[path = "perceptual/support.rs"]
mod support;
#[path = "perceptual/twins.rs"]
mod twins;
