//! The autoencoder: moments, a sample of given noise, both reconstructions.

use burn::tensor::Device;
use tessera_layers::Trace;
use tessera_tokenizers::autoencoder_kl::Posterior;
use tessera_tokenizers::mar_kl::{MarKlConfig, load};

use crate::verify::inputs::float_input;
use crate::verify::{Case, CaseError, Values};

pub(super) fn run(case: &Case, device: &Device, values: &mut Values) -> Result<(), CaseError> {
    let config = MarKlConfig::from_value(&case.config)?;
    let (network, _) = load(&config, &case.weights()?, device)?;
    let image = float_input::<4>(case, "image", device)?;
    let ([_, channels, height, width], cell) = (image.dims(), config.downsampling());
    if channels != 3 || height * width == 0 || !height.is_multiple_of(cell) || !width.is_multiple_of(cell) {
        let expected = format!("[batch, 3, height, width] with sides divisible by {cell}");
        return Err(CaseError::input("input \"image\"", expected, format!("{:?}", image.dims())));
    }
    let moments = network.moments(image, &mut Trace::new(&mut |name, tap| values.tap(name, tap)));
    values.floats("moments", moments.clone());
    let posterior = Posterior::new(moments);
    let noise = float_input::<4>(case, "noise", device)?;
    if noise.dims() != posterior.mean.dims() {
        let expected = format!("{:?}", posterior.mean.dims());
        return Err(CaseError::input("input \"noise\"", expected, format!("{:?}", noise.dims())));
    }
    values.floats("mean", posterior.mean.clone());
    values.floats("logvar_clamped", posterior.logvar.clone());
    values.floats("std", posterior.std());
    values.floats("kl_per_image", posterior.kl());
    let sample = posterior.sample(noise);
    values.floats("sample", sample.clone());
    let scaled = sample.mul_scalar(config.scaling_factor);
    values.floats("latents_scaled", scaled.clone());
    let back = scaled.div_scalar(config.scaling_factor);
    values.floats("reconstruction", network.decode(back, &mut Trace::none()));
    values.floats("reconstruction_from_mean", network.decode(posterior.mean, &mut Trace::none()));
    Ok(())
}
