//! The second training stage: losses and gradients.

use burn::tensor::{Device, Tensor};
use tessera_layers::Trace;
use tessera_tokenizers::seed::{SeedConfig, SeedNetwork, load_network, train};

use super::tokenizer::put_features;
use super::{Value, Values, image};
use crate::verify::inputs::float_input;
use crate::verify::{Case, CaseError, gradients};

pub(super) fn run(case: &Case, device: &Device, values: &mut Values) -> Result<(), CaseError> {
    let device = device.clone().autodiff();
    let config = SeedConfig::from_value(&case.config)?;
    let (network, specs, _) = load_network(&config, &case.weights()?, &device)?;
    let image = image(case, &config.encoder.vit, &device)?;
    let embeddings = network.encoder().forward(image, &mut Trace::new(&mut |name, tap| values.tap(name, tap)));
    let losses = train::codec_losses(
        network.codec(),
        embeddings,
        teacher(case, &config, &device)?,
        &config.loss_weights,
        &mut Trace::new(&mut |name, tap| values.tap(name, tap)),
    )?;
    values.floats("pre_quant", losses.latents);
    values.integers("tokens", losses.indices.clone());
    put_features(&config, losses.features, values);
    let weights = config.loss_weights;
    values.floats("weighted.loss_embed", losses.quantizer.mul_scalar(weights.embed));
    if let Some(loss) = losses.distillation {
        values.floats("weighted.loss_distil_image", loss.mul_scalar(weights.distil_image));
    }
    if let Some(loss) = losses.reconstruction {
        values.floats("weighted.loss_recon_s", loss.mul_scalar(weights.recon));
    }
    values.floats("weighted.loss", losses.total.clone());

    let backward = losses.total.backward();
    for spec in &specs {
        let name = format!("grad.{}", spec.name);
        if values.wants(&name) {
            gradients::take(&network, spec, &backward, &name, values);
        }
    }
    let mut used: Vec<i64> = losses.indices.into_data().iter().collect();
    used.sort_unstable();
    used.dedup();
    let rows = codebook_rows(&network, &used, &backward);
    let width = config.codebook_embed_dim;
    values.insert("grad.quantize.embedding.weight.used_rows", Value::Floats(vec![used.len(), width], rows));
    values.insert("codebook_used_ids", Value::Integers(vec![used.len()], used));
    Ok(())
}

/// What the head shall imitate: one row of SEED-2, as many as the head makes of SEED-1.
fn teacher(case: &Case, config: &SeedConfig, device: &Device) -> Result<Option<Tensor<3>>, CaseError> {
    if case.has_input("clip_image_embeds") {
        let [rows, channels] = config.features();
        let embeddings = float_input::<2>(case, "clip_image_embeds", device)?;
        let [batch, width] = embeddings.dims();
        if width != rows * channels {
            let expected = format!("[batch, {}]", rows * channels);
            return Err(CaseError::input("input \"clip_image_embeds\"", expected, format!("[{batch}, {width}]")));
        }
        return Ok(Some(embeddings.reshape([batch, rows, channels])));
    }
    match case.has_input("text_embeds") {
        true => Ok(Some(float_input::<3>(case, "text_embeds", device)?)),
        false => Ok(None),
    }
}

/// The codebook's gradient at the codes that were chosen.
fn codebook_rows(network: &SeedNetwork, used: &[i64], backward: &burn::tensor::Gradients) -> Vec<f32> {
    let codebook = network.codec().quantizer().codebook();
    let [_, width] = codebook.dims();
    let gradient: Vec<f32> =
        codebook.grad(backward).map_or_else(Vec::new, |gradient| gradient.into_data().iter().collect());
    let rows = used.iter().filter_map(|id| usize::try_from(*id).ok());
    rows.flat_map(|row| gradient.iter().skip(row * width).take(width).copied()).collect()
}
