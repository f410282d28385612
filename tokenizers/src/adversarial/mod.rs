//! Adversarial training of the second stage: discriminator, hinge loss and LeCam regularisation.

mod discriminator;
mod losses;

pub use discriminator::{Discriminator, DiscriminatorConfig};
pub use losses::{LeCam, generator_loss, hinge_loss};
