//! Adversarial training: discriminators, hinge losses and LeCam regularisation.

mod discriminator;
mod losses;
mod patch_gan;
mod residual;
mod strided;

pub use discriminator::{Discriminator, DiscriminatorConfig};
pub use losses::{LeCam, generator_loss, hinge_loss, leaky_hinge_loss};
pub use patch_gan::PatchGan;
pub use residual::ResidualDiscriminator;

use crate::config::ConfigError;

/// Refuses a base width that groups of a normalisation do not divide.
fn check_width(width: usize, groups: usize) -> Result<(), ConfigError> {
    if width == 0 || !width.is_multiple_of(groups) {
        return Err(ConfigError::invalid("hidden_channels", format!("a multiple of {groups}"), width.to_string()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use burn::module::{Module, ModuleMapper, Param};
    use burn::tensor::{Device, Distribution, Gradients, Tensor};
    use tessera_layers::ParamSource;

    use super::*;

    /// One step down the gradient.
    struct Descent<'a>(&'a Gradients);

    impl ModuleMapper for Descent<'_> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let (id, value) = (param.id, param.val());
            let Some(gradient) = value.grad(self.0) else { return param };
            let next = value.inner() - gradient.mul_scalar(0.05);
            Param::initialized(id, Tensor::from_inner(next).require_grad())
        }
    }

    /// Flat pictures and noisy ones of the same mean, `[8, 3, 24, 24]` each.
    fn pictures(device: &Device) -> [Tensor<4>; 2] {
        let flat = Tensor::<4>::random([8, 3, 1, 1], Distribution::Uniform(0.3, 0.7), device).expand([8, 3, 24, 24]);
        let noise = Tensor::<4>::random([8, 3, 24, 24], Distribution::Uniform(-0.3, 0.3), device);
        [flat.clone(), flat + noise]
    }

    fn learns<M: Module>(mut net: M, forward: impl Fn(&M, Tensor<4>) -> Tensor<4>, logits: [usize; 4]) {
        let device = Device::flex().autodiff();
        device.seed(1);
        let [real, fake] = pictures(&device);
        assert_eq!(forward(&net, real.clone()).dims(), logits);
        let loss = |net: &M| hinge_loss(forward(net, real.clone()), forward(net, fake.clone()));
        let first = loss(&net).into_scalar::<f32>();
        for _ in 0..120 {
            let gradients = loss(&net).backward();
            net = net.map(&mut Descent(&gradients));
        }
        let last = loss(&net).into_scalar::<f32>();
        assert!(last < 0.5 * first, "{first} to {last}");
    }

    #[test]
    fn both_further_discriminators_learn_to_tell_noise_from_none() {
        let source = ParamSource::seeded(1, &Device::flex().autodiff());
        let net = PatchGan::new(&source.root(), 8).unwrap();
        // The released names: a convolution, then one with its normalisation three times, and the last.
        let names: Vec<String> = source.into_taken().into_iter().map(|spec| spec.name).collect();
        for name in ["main.0.bias", "main.2.weight", "main.3.bias", "main.8.weight", "main.9.weight", "main.11.bias"] {
            assert!(names.iter().any(|found| found == name), "{name}: {names:?}");
        }
        assert!(!names.iter().any(|name| name == "main.2.bias"), "{names:?}");
        learns(net, PatchGan::forward, [8, 1, 1, 1]);
        let source = ParamSource::seeded(1, &Device::flex().autodiff());
        learns(ResidualDiscriminator::new(&source.root(), 32).unwrap(), ResidualDiscriminator::forward, [8, 1, 3, 3]);
        assert!(ResidualDiscriminator::new(&source.root(), 40).is_err() && PatchGan::new(&source.root(), 0).is_err());
    }

    #[test]
    fn the_leaky_hinge_goes_on_where_the_hinge_ends() {
        let device = Device::flex();
        let [sure, wrong] = [3.0, -1.0].map(|value| Tensor::<4>::full([1, 1, 2, 2], value, &device));
        let number = |x: Tensor<1>| x.into_scalar::<f32>();
        assert_eq!(number(hinge_loss(sure.clone(), sure.clone().neg())), 0.0);
        assert!((number(leaky_hinge_loss(sure.clone(), sure.neg())) + 0.02).abs() < 1e-6);
        assert_eq!(number(leaky_hinge_loss(wrong.clone(), wrong.neg())), 2.0);
    }
}
