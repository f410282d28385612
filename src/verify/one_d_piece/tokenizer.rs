//! Whole tokenizers: encode, decode any prefix, losses, gradients of the first training stage.

use std::collections::BTreeSet;

use burn::tensor::{Device, Tensor};
use tessera_layers::checkpoint::Weights;
use tessera_layers::{ParamSource, Tap, Trace};
use tessera_tokenizers::one_d_piece::{OneDPiece, OneDPieceConfig, OneDPieceNetwork, load, train};
use tessera_tokenizers::{DecodeOptions, Input, Output, Tokenizer as _, Tokens};

use super::{as_columns, float_input, int_input};
use crate::verify::{Case, CaseError, Value, Values};

pub(super) fn run(case: &Case, device: &Device, values: &mut Values) -> Result<(), CaseError> {
    let config = OneDPieceConfig::from_value(&case.config)?;
    let weights = case.weights()?;
    let model = load(&config, &weights, device)?;
    let image = float_input::<4>(case, "image", device)?;
    let tokens = encode(&model, image, values)?;
    for (keep, prefix) in lengths(case, values, tokens.positions())? {
        decode(&model, &tokens, keep, &prefix, values)?;
    }
    if values.wants_any("stage1.") {
        stage1(case, &config, &weights, device, values)?;
    }
    Ok(())
}

fn encode(model: &OneDPiece, image: Tensor<4>, values: &mut Values) -> Result<Tokens, CaseError> {
    let latents = model.network().latents(image.clone(), &mut Trace::new(&mut |name, tap| values.tap(name, tap)));
    values.floats("latents_pre_quant", as_columns(latents.clone()));
    let quantized = model.network().quantizer().forward(latents);
    values.floats("vq.quantizer_loss", quantized.loss());
    values.floats("vq.commitment_loss", quantized.commitment_loss);
    values.floats("vq.codebook_loss", quantized.codebook_loss);

    let tokens = model.encode(&Input::Images(image))?;
    let ids = tokens.ids().iter().copied().map(i64::from).collect();
    values.insert("tokens", Value::Integers(vec![tokens.batch(), 1, tokens.positions()], ids));
    values.floats("dequantized", as_columns(model.embed(&tokens)?.vectors));
    Ok(tokens)
}

/// Prefix lengths to decode and the prefix of the tensors' names: `k7.` of a variable-length case, none of others.
fn lengths(case: &Case, values: &Values, all: usize) -> Result<Vec<(usize, String)>, CaseError> {
    let mut lengths: BTreeSet<usize> =
        values.wanted().filter_map(|name| name.strip_prefix('k')?.split_once('.')?.0.parse().ok()).collect();
    if case.has_input("lengths") {
        let (_, listed) = case.integers::<1>("lengths")?;
        lengths.extend(listed.into_iter().filter_map(|length| usize::try_from(length).ok()));
    }
    let mut named: Vec<_> = lengths.into_iter().map(|keep| (keep, format!("k{keep}."))).collect();
    if values.wants("reconstruction") || values.wants_any("decoder.") {
        named.push((all, String::new()));
    }
    Ok(named)
}

fn decode(model: &OneDPiece, tokens: &Tokens, keep: usize, prefix: &str, values: &mut Values) -> Result<(), CaseError> {
    let Output::Images(image) = model.decode(tokens, &DecodeOptions::prefix(keep))? else {
        return Ok(());
    };
    values.floats(&format!("{prefix}reconstruction"), image);
    let inner = ["decoder.", "soft_code", "pixel_decoder."];
    if inner.iter().any(|name| values.wants_any(&format!("{prefix}{name}"))) {
        let vectors = model.embed(tokens)?.vectors;
        let [batch, _, _] = vectors.dims();
        let mut observer = |name: &str, tap: Tap| {
            if name == "decoder.ffn" {
                values.tap(&format!("{prefix}decoder.logits"), tap.clone());
            }
            values.tap(&format!("{prefix}{name}"), tap);
        };
        model.network().decode(vectors.slice([0..batch, 0..keep]), &mut Trace::new(&mut observer));
    }
    Ok(())
}

/// One step of the first training stage with the same weights: without the pixel decoder, with gradients.
fn stage1(
    case: &Case,
    config: &OneDPieceConfig,
    weights: &Weights,
    device: &Device,
    values: &mut Values,
) -> Result<(), CaseError> {
    let device = device.clone().autodiff();
    let config = OneDPieceConfig { finetune_decoder: false, ..config.clone() };
    let source = ParamSource::weights(weights, "", &device);
    let network = OneDPieceNetwork::new(&source.root(), &config)?;
    let image = float_input::<4>(case, "image", &device)?;
    let [proxy_codes, _] = config.proxy_codebook();
    let targets = int_input(case, "stage1.target_codes", proxy_codes, &device)?;
    let (_, keep) = case.integers::<1>("stage1.keep")?;
    let keep = keep.first().and_then(|&keep| usize::try_from(keep).ok()).unwrap_or(0);
    if keep == 0 || keep > config.num_latent_tokens {
        let expected = format!("a number from 1 to {}", config.num_latent_tokens);
        return Err(CaseError::input("input \"stage1.keep\"", expected, keep.to_string()));
    }
    let losses = train::stage1_losses(&network, image, targets, keep, 1.0)
        .ok_or_else(|| CaseError::input("config", "a two-stage model", "a single-stage one"))?;
    let [batch, _, codes] = losses.logits.dims();
    let grid = network.grid();
    values.floats("stage1.logits", losses.logits.clone().swap_dims(1, 2).reshape([batch, codes, grid, grid]));
    values.floats("stage1.ce_loss", losses.cross_entropy.clone());
    values.floats("stage1.quantizer_loss", losses.quantizer.clone());
    values.floats("stage1.total_loss", losses.total.clone());
    let gradients = losses.total.backward();
    for spec in source.into_taken() {
        let name = format!("stage1.grad.{}", spec.name);
        if values.wants(&name) {
            crate::verify::gradients::take(&network, &spec, &gradients, &name, values);
        }
    }
    Ok(())
}
