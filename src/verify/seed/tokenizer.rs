//! Whole tokenizers: every stage from picture to features, both losses before their weights, and unCLIP's condition.

use burn::tensor::{Device, Int, Tensor};
use tessera_layers::Trace;
use tessera_tokenizers::seed::{SeedConfig, SeedKind, SeedNetwork, UnclipCondition, load, train};

use super::{image, numbered};
use crate::verify::inputs::float_input;
use crate::verify::{Case, CaseError, Value, Values};

pub(super) fn run(case: &Case, device: &Device, values: &mut Values) -> Result<(), CaseError> {
    let config = SeedConfig::from_value(&case.config)?;
    let tokenizer = load(&config, &case.weights()?, device)?;
    let network = tokenizer.network();
    let image = image(case, &config.encoder.vit, device)?;
    let embeddings = network.encoder().forward(image, &mut Trace::new(&mut |name, tap| values.tap(name, tap)));

    let codec = network.codec();
    let latents = codec.latents(embeddings.clone());
    values.floats("pre_quant", latents.clone());
    let quantized = codec.quantizer().forward(latents.clone());
    values.integers("tokens", quantized.indices.clone());
    margins(network, latents, quantized.indices.clone(), values);
    let vq = quantized.commitment_loss + quantized.codebook_loss.mul_scalar(codec.beta());
    values.floats("loss.vq_unscaled", vq);
    let codes = codec.quantizer().vectors(quantized.indices);
    values.floats("quantized", codes.clone());

    let dequantized = codec.dequantize(codes, &mut Trace::new(&mut |name, tap| values.tap(name, tap)));
    let rebuilt = codec.rebuild(dequantized.clone(), &mut Trace::new(&mut |name, tap| values.tap(name, tap)));
    if let Some(rebuilt) = rebuilt {
        values.floats("loss.recon_unscaled", train::cosine_loss(rebuilt, embeddings));
    }
    let features = codec.features(dequantized, &mut Trace::new(&mut |name, tap| values.tap(name, tap)));
    put_features(&config, features.clone(), values);
    unclip(case, features, device, values)
}

/// Features under the reference's name: `text_embeds` with all rows, or `image_embeds`, whose single row is no dimension.
pub(super) fn put_features(config: &SeedConfig, features: Tensor<3>, values: &mut Values) {
    let [batch, rows, channels] = features.dims();
    match (config.model_type, rows) {
        (SeedKind::Seed1, _) => values.floats("text_embeds", features),
        (_, 1) => values.floats("image_embeds", features.reshape([batch, channels])),
        _ => values.floats("image_embeds", features),
    }
}

/// How much farther the second nearest code is than the nearest, in squared distance.
fn margins(network: &SeedNetwork, latents: Tensor<3>, indices: Tensor<2, Int>, values: &mut Values) {
    if !values.wants("top2_margin") {
        return;
    }
    let ([batch, tokens, width], shape) = (latents.dims(), indices.dims().to_vec());
    let latents: Vec<f32> = latents.into_data().iter().collect();
    let codebook: Vec<f32> = network.codec().quantizer().codebook().into_data().iter().collect();
    let mut margins = Vec::with_capacity(batch * tokens);
    for latent in latents.chunks(width.max(1)) {
        let (mut nearest, mut second) = (f64::INFINITY, f64::INFINITY);
        for code in codebook.chunks(width.max(1)) {
            let distance: f64 = latent.iter().zip(code).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
            second = second.min(distance.max(nearest));
            nearest = nearest.min(distance);
        }
        margins.push((second - nearest) as f32);
    }
    values.insert("top2_margin", Value::Floats(shape, margins));
}

/// The condition at each noise level that the expected names say.
fn unclip(case: &Case, features: Tensor<3>, device: &Device, values: &mut Values) -> Result<(), CaseError> {
    const PREFIX: &str = "unclip.class_labels_level";
    if !values.wants_any(PREFIX) {
        return Ok(());
    }
    let [batch, rows, channels] = features.dims();
    let embeddings = features.reshape([batch * rows, channels]);
    let unfit = |error: tessera_tokenizers::seed::UnclipError| {
        CaseError::input("inputs of unCLIP", "tensors that fit the features", error.to_string())
    };
    let mean = float_input::<2>(case, "unclip_mean", device)?;
    let condition = UnclipCondition::new(mean, float_input::<2>(case, "unclip_std", device)?).map_err(unfit)?;
    let noise = float_input::<2>(case, "unclip_noise", device)?;
    for level in numbered(values, PREFIX) {
        let labels = condition.apply(embeddings.clone(), noise.clone(), level).map_err(unfit)?;
        values.floats(&format!("{PREFIX}{level}"), labels);
    }
    Ok(())
}
