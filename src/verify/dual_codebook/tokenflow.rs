//! The tokenizer: every stage, decoding of a prefix of the scales, a generator's features, and the losses.

use burn::tensor::{Device, Int, Tensor};
use tessera_layers::Trace;
use tessera_tokenizers::tokenflow::{
    SharedCodes, TokenFlowConfig, TokenFlowNetwork, VisualFeatures, load, semantic_loss, statistics,
};

use super::bytes;
use crate::verify::inputs::float_input;
use crate::verify::{Case, CaseError, Values};

pub(super) fn run(case: &Case, device: &Device, values: &mut Values) -> Result<(), CaseError> {
    let config = TokenFlowConfig::from_value(&case.config)?;
    let (tokenizer, _) = load(&config, &case.weights()?, device)?;
    let (network, side) = (tokenizer.network(), config.image_size);
    let image = float_input::<4>(case, "image", device)?;
    let [batch, channels, height, width] = image.dims();
    if [channels, height, width] != [3, side, side] || batch == 0 {
        let (expected, found) = (format!("[batch, 3, {side}, {side}]"), format!("{:?}", image.dims()));
        return Err(CaseError::input("input \"image\"", expected, found));
    }
    let latents =
        network.latents(image, &mut Trace::new(&mut |name, tap| bytes::tap(&encoder_name(name), tap, values)));
    values.floats("latents_pre_quant", latents.clone());
    let quantized = network.quantize(latents.clone(), &mut |step| {
        let name = |part: &str| format!("ms.scale{}.{part}", step.index);
        values.floats(&name("residual_down"), step.residual.clone());
        values.floats(&name("quantized"), step.quantized.clone());
        values.floats(&name("quantized_up"), step.enlarged.clone());
    });
    let ids = quantized.ids.clone();
    values.integers("tokens", ids.clone());
    let codes = network.quantizer().codes();
    let (vectors, [_, semantic, pixel]) = (codes.vectors(ids.clone()), codes.sizes());
    values.floats("semantic_embeddings", vectors.clone().narrow(2, 0, semantic));
    values.floats("pixel_embeddings", vectors.narrow(2, semantic, pixel));
    values.floats("dequantized", quantized.sum.clone());

    let mut observer = |name: &str, tap| values.tap(&format!("sem_dec.{name}"), tap);
    let features = network.semantic_features(quantized.sum.clone(), &mut Trace::new(&mut observer));
    values.floats("semantic_reconstruction", features.clone());
    let mut observer = |name: &str, tap| bytes::tap(&decoder_name(name), tap, values);
    let pixels = network.pixels(quantized.sum, &mut Trace::new(&mut observer));
    values.floats("reconstruction", pixels.clone());
    bytes::take("image_uint8", pixels, 128.0, values);

    partial(case, network, &ids, values)?;
    generator(network, &codes, &ids, values);

    values.floats("train_loss.vq", quantized.codebook_loss);
    values.floats("train_loss.commit", quantized.commitment_loss);
    if values.wants_any("train_loss.d_") || values.wants("train_loss.entropy") {
        let found = statistics(network, latents);
        values.floats("train_loss.d_sem_sq", found.semantic);
        values.floats("train_loss.d_pix_sq", found.pixel);
        values.floats("train_loss.entropy", found.entropy.mul_scalar(config.entropy_loss_ratio));
    }
    if case.has_input("semantic_target") {
        let target = float_input::<3>(case, "semantic_target", device)?;
        if target.dims() != features.dims() {
            let (expected, found) = (format!("{:?}", features.dims()), format!("{:?}", target.dims()));
            return Err(CaseError::input("input \"semantic_target\"", expected, found));
        }
        values.floats("train_loss.semantic_cosine", semantic_loss(features, target));
    }
    Ok(())
}

/// The first scales alone; how many, the length of the recorded tokens says.
fn partial(
    case: &Case,
    network: &TokenFlowNetwork,
    ids: &Tensor<2, Int>,
    values: &mut Values,
) -> Result<(), CaseError> {
    let name = "decode_code_partial.tokens";
    let Some(shape) = case.expected_shape(name) else { return Ok(()) };
    let tokens = shape.last().copied().unwrap_or(0);
    let scales = network.scales();
    if scales.within(tokens).is_none() {
        let expected = format!("whole scales: one of {:?} tokens", scales.ends());
        return Err(CaseError::input(format!("expected \"{name}\""), expected, tokens.to_string()));
    }
    let first = ids.clone().narrow(1, 0, tokens);
    values.integers(name, first.clone());
    let pixels = network.pixels(network.sum(first, None), &mut Trace::none());
    values.floats("decode_code_partial.reconstruction", pixels);
    Ok(())
}

/// What a generator reads of the tokens, and the picture of its codes.
fn generator(network: &TokenFlowNetwork, codes: &SharedCodes, ids: &Tensor<2, Int>, values: &mut Values) {
    let scales = network.scales();
    let prefix = "generator.next_scale_features";
    let wanted: Vec<String> = values.wanted().filter(|name| name.starts_with(prefix)).map(str::to_owned).collect();
    for name in wanted {
        let refined = name.get(prefix.len()..).and_then(|rest| rest.strip_prefix("_refine"));
        // The number counts the features, of which the first scale has none.
        let refined = refined.and_then(|index| index.parse::<usize>().ok()).map(|index| index + 1);
        if refined.is_none() && name != prefix {
            continue;
        }
        values.floats(&name, VisualFeatures::of_sequence(codes, &scales, ids.clone(), refined));
    }
    values.floats("generator.decode_to_img", network.pixels(network.sum(ids.clone(), None), &mut Trace::none()));
}

/// Names of the case for what the network reports.
fn encoder_name(name: &str) -> String {
    match name.strip_prefix("pix.encoder.") {
        Some(stage) => format!("pix.encoder_{}", stage_name(stage)),
        None => name.to_owned(),
    }
}

fn decoder_name(name: &str) -> String {
    format!("pix_dec.{}", stage_name(name))
}

fn stage_name(stage: &str) -> String {
    match stage {
        "mid_block" => "mid".to_owned(),
        other => other.replace(".last_res", "_last_res"),
    }
}
