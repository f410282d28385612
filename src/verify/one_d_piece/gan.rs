//! The adversarial step of the second training stage.

use burn::tensor::{Device, Tensor};
use serde_json::Value as Json;
use tessera_layers::{Params, load_strict};
use tessera_tokenizers::adversarial::{Discriminator, DiscriminatorConfig, LeCam, generator_loss, hinge_loss};
use tessera_tokenizers::{ConfigError, LoadError};

use super::float_input;
use crate::verify::{Case, CaseError, Value, Values};

pub(super) fn run(case: &Case, device: &Device, values: &mut Values) -> Result<(), CaseError> {
    let device = device.clone().autodiff();
    let config: DiscriminatorConfig =
        serde_json::from_value(case.config.get("discriminator").cloned().unwrap_or(Json::Null))
            .map_err(|error| ConfigError::invalid("discriminator", "its sizes", error.to_string()))?;
    let make = |params: &Params| Discriminator::new(params, &config);
    let (discriminator, _, _) = load_strict::<_, LoadError>(&case.weights()?, &[], &device, make)?;
    let real = float_input::<4>(case, "real", &device)?;
    let fake = float_input::<4>(case, "fake", &device)?.require_grad();

    let logits_real = discriminator.forward(real.clone());
    let logits_fake = discriminator.forward(fake.clone());
    values.floats("logits_real", logits_real.clone());
    values.floats("logits_fake", logits_fake.clone());
    values.floats("recon_l2", (fake.clone() - real).powf_scalar(2.0).mean());
    values.floats("hinge_d_loss", hinge_loss(logits_real.clone(), logits_fake.clone()));

    let standard = LeCam::default();
    let setting = |key: &str| case.config.get(key).and_then(Json::as_f64);
    let lecam = LeCam {
        ema_real: scalar(case, "ema_real_logits_mean")?,
        ema_fake: scalar(case, "ema_fake_logits_mean")?,
        weight: setting("lecam_regularization_weight").unwrap_or(standard.weight),
        decay: setting("lecam_ema_decay").map_or(standard.decay, |decay| decay as f32),
    };
    values.floats("lecam_loss", lecam.loss(logits_real.clone(), logits_fake.clone()));
    let next = lecam.update(number(logits_real.mean()), number(logits_fake.clone().mean()));
    values.insert("ema_real_next", Value::Floats(vec![1], vec![next.ema_real]));
    values.insert("ema_fake_next", Value::Floats(vec![1], vec![next.ema_fake]));

    let loss = generator_loss(logits_fake);
    values.floats("generator_loss", loss.clone());
    if let Some(gradient) = fake.grad(&loss.backward()) {
        values.floats("grad_fake", gradient);
    }
    Ok(())
}

fn scalar(case: &Case, name: &str) -> Result<f32, CaseError> {
    let (_, values) = case.floats::<1>(name)?;
    values.first().copied().ok_or_else(|| CaseError::input(format!("input \"{name}\""), "one number", "none"))
}

fn number(tensor: Tensor<1>) -> f32 {
    tensor.into_data().iter().next().unwrap_or(f32::NAN)
}
