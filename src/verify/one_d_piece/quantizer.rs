//! The vector quantizer alone: losses and straight-through gradients of each variant.

use burn::tensor::Device;
use serde_json::Value as Json;
use tessera_layers::ParamSource;
use tessera_tokenizers::ConfigError;
use tessera_tokenizers::quantizers::VectorQuantizer;

use super::{as_columns, float_input};
use crate::verify::{Case, CaseError, Values, gradients};

/// Weight of the probe in the loss whose gradients were recorded.
const PROBE: f64 = 0.1;

pub(super) fn run(case: &Case, device: &Device, values: &mut Values) -> Result<(), CaseError> {
    let device = device.clone().autodiff();
    let number = |key: &str| {
        let value = case.config.get(key).and_then(Json::as_u64).and_then(|value| usize::try_from(value).ok());
        value.ok_or_else(|| ConfigError::invalid(key, "a number", "none"))
    };
    let sizes = [number("codebook_size")?, number("token_size")?];
    let cost = case.config.get("commitment_cost").and_then(Json::as_f64).unwrap_or(0.25);
    let weights = case.weights()?;
    let variants = case.config.get("variants").and_then(Json::as_array).cloned().unwrap_or_default();
    for variant in variants.iter().filter_map(Json::as_str) {
        let prefix = format!("{variant}.");
        let source = ParamSource::weights(&weights, &prefix, &device);
        let use_l2_norm = match variant {
            "l2" => true,
            "plain" => false,
            other => return Err(ConfigError::invalid("variants", "l2 or plain", other).into()),
        };
        let quantizer =
            VectorQuantizer::new(&source.root().at("embedding"), sizes, use_l2_norm, cost).map_err(CaseError::from)?;
        // [batch, channels, 1, positions]
        let z = float_input::<4>(case, &format!("{prefix}z"), &device)?.require_grad();
        let probe = float_input::<4>(case, &format!("{prefix}probe"), &device)?;
        let [batch, channels, _, positions] = z.dims();
        let quantized = quantizer.forward(z.clone().reshape([batch, channels, positions]).swap_dims(1, 2));

        let loss = quantized.loss();
        values.integers(&format!("{prefix}tokens"), quantized.indices.reshape([batch, 1, positions]));
        values.floats(&format!("{prefix}commitment_loss"), quantized.commitment_loss);
        values.floats(&format!("{prefix}codebook_loss"), quantized.codebook_loss);
        values.floats(&format!("{prefix}quantizer_loss"), loss.clone());
        let vectors = as_columns(quantized.vectors);
        values.floats(&format!("{prefix}quantized"), vectors.clone());

        let backward = (loss + (vectors * probe).sum().mul_scalar(PROBE)).backward();
        if let Some(gradient) = z.grad(&backward) {
            values.floats(&format!("{prefix}grad_z"), gradient);
        }
        for spec in source.into_taken() {
            gradients::take(&quantizer, &spec, &backward, &format!("{prefix}grad_embedding"), values);
        }
    }
    Ok(())
}
