//! The tokenizer: every stage of both branches, texts, the losses, and one step of the codebooks' moving averages.

use burn::tensor::{Device, Int, Tensor};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use tessera_layers::Trace;
use tessera_tokenizers::dualtoken::{
    Bottleneck, DualLatents, DualTokenConfig, DualTokenNetwork, DualTokenTerms, SemanticFeatures, load, semantic_losses,
};
use tessera_tokenizers::quantizers::{ResidualQuantized, ResidualQuantizer, Restart};

use super::bytes;
use crate::verify::inputs::{float_input, int_input};
use crate::verify::{Case, CaseError, Values};

pub(super) fn run(case: &Case, device: &Device, values: &mut Values) -> Result<(), CaseError> {
    let config = DualTokenConfig::from_value(&case.config)?;
    let (tokenizer, _) = load(&config, &case.weights()?, device)?;
    let (network, side) = (tokenizer.network(), config.image_size());
    let image = float_input::<4>(case, "image", device)?;
    let [batch, channels, height, width] = image.dims();
    if [channels, height, width] != [3, side, side] || batch == 0 {
        let (expected, found) = (format!("[batch, 3, {side}, {side}]"), format!("{:?}", image.dims()));
        return Err(CaseError::input("input \"image\"", expected, found));
    }
    let mut observer = |name: &str, tap| values.tap(name, tap);
    let latents = network.latents(image.clone(), &mut Trace::new(&mut observer));
    values.floats("pix_latents_pre_quant", latents.pixel.clone());
    values.floats("sem_latents_pre_quant", latents.semantic.clone());
    let pixel = network.pixel_quantizer().forward(latents.pixel.clone());
    let semantic = network.semantic_quantizer().forward(latents.semantic.clone());
    codes("pix", network.pixel_quantizer(), &pixel, values);
    codes("sem", network.semantic_quantizer(), &semantic, values);

    let mut observer = |name: &str, tap| values.tap(name, tap);
    let features = network.semantic_features(semantic.vectors.clone(), &mut Trace::new(&mut observer));
    values.floats("sem_features", features.hidden.clone());
    values.floats("pooler_output", features.pooled.clone());
    texts(case, network, &features, device, values)?;

    let mut observer = |name: &str, tap| bytes::tap(&stage_name(name), tap, values);
    let pixels = network.pixels(pixel.vectors.clone(), &mut Trace::new(&mut observer));
    values.floats("reconstruction", pixels.clone());
    bytes::take("image_uint8", pixels.clone(), 127.5, values);
    losses(case, [image, pixels], [&pixel, &semantic], &features, device, values)?;
    averages(&config, network, &latents, values);
    Ok(())
}

fn codes(kind: &str, quantizer: &ResidualQuantizer, quantized: &ResidualQuantized, values: &mut Values) {
    values.integers(&format!("{kind}_codes"), quantized.codes.clone());
    let [batch, rows, columns, channels] = quantized.vectors.dims();
    let flat = quantized.vectors.clone().reshape([batch, rows * columns, channels]);
    values.floats(&format!("{kind}_dequantized"), flat);
    values.floats(&format!("{kind}_commitment_loss"), quantized.commitment_loss.clone());
    let name = format!("{kind}_code_embeddings_by_depth");
    values.floats(&name, quantizer.vectors_by_depth(quantized.codes.clone()));
}

/// Features of unit length, and how well pictures and texts fit each other.
fn texts(
    case: &Case,
    network: &DualTokenNetwork,
    features: &SemanticFeatures,
    device: &Device,
    values: &mut Values,
) -> Result<(), CaseError> {
    values.floats("image_features", unit(features.pooled.clone()));
    if !case.has_input("input_ids") {
        return Ok(());
    }
    let [vocab, most] = network.text_limits();
    let ids: Tensor<2, Int> = int_input(case, "input_ids", vocab, device)?;
    let [texts, length] = ids.dims();
    if texts == 0 || !(1..=most).contains(&length) {
        let expected = format!("[texts, 1 to {most} ids]");
        return Err(CaseError::input("input \"input_ids\"", expected, format!("[{texts}, {length}]")));
    }
    let texts = network.text_features(ids);
    values.floats("text_features", unit(texts.clone()));
    values.floats("siglip_logits", network.match_logits(features.pooled.clone(), texts));
    Ok(())
}

fn unit(x: Tensor<2>) -> Tensor<2> {
    let length = x.clone().square().sum_dim(1).sqrt();
    x / length
}

fn losses(
    case: &Case,
    [image, pixels]: [Tensor<4>; 2],
    [pixel, semantic]: [&ResidualQuantized; 2],
    features: &SemanticFeatures,
    device: &Device,
    values: &mut Values,
) -> Result<(), CaseError> {
    if !case.has_input("teacher_hidden") {
        return Ok(());
    }
    let hidden = float_input::<3>(case, "teacher_hidden", device)?;
    let pooled = float_input::<2>(case, "teacher_pooler", device)?;
    if hidden.dims() != features.hidden.dims() || pooled.dims() != features.pooled.dims() {
        let expected = format!("{:?} and {:?}", features.hidden.dims(), features.pooled.dims());
        let found = format!("{:?} and {:?}", hidden.dims(), pooled.dims());
        return Err(CaseError::input("inputs \"teacher_*\"", expected, found));
    }
    let found = semantic_losses(features, &SemanticFeatures { hidden, pooled });
    values.floats("train_loss.sem_mse", found.hidden_error.clone());
    // The release logs cosines as the losses that they are: negative.
    values.floats("train_loss.sem_cos", found.hidden_cosine.clone().neg());
    values.floats("train_loss.pool_mse", found.pooled_error.clone());
    values.floats("train_loss.pool_cos", found.pooled_cosine.clone().neg());
    values.floats("train_loss.semantic_total", found.total());
    let all = DualTokenTerms {
        reconstruction: (pixels.clone() - image).square().mean(),
        pixel_commitment: pixel.commitment_loss.clone(),
        semantic_commitment: semantic.commitment_loss.clone(),
        semantic: Some(found),
    };
    values.floats("train_loss.recon_mse", all.reconstruction.clone());
    values.floats("train_loss.total_without_lpips_gan", all.total(1.0));
    Ok(())
}

/// One step of training of either codebook, without new starts of unused codes, in the form that was recorded. Names say which
/// codebook and how it learns: `ema.<pix or sem>_<rq or rq_ema>.*`.
fn averages(config: &DualTokenConfig, network: &DualTokenNetwork, latents: &DualLatents, values: &mut Values) {
    let inner = &config.rqvaesiglip;
    for (kind, quantizer, vq, latents) in [
        ("pix", network.pixel_quantizer(), &inner.vq_pix, &latents.pixel),
        ("sem", network.semantic_quantizer(), &inner.vq_sem, &latents.semantic),
    ] {
        for (form, bottleneck) in [("rq", Bottleneck::Rq), ("rq_ema", Bottleneck::RqEma)] {
            let prefix = format!("ema.{kind}_{form}.");
            if !values.wants_any(&prefix) {
                continue;
            }
            let mut vq = vq.clone();
            vq.bottleneck_type = bottleneck;
            let mut update = vq.update(true);
            update.restart = Restart::Off;
            let mut moved = quantizer.clone();
            let mut rng = ChaCha8Rng::seed_from_u64(0);
            let quantized = moved.forward_and_update(latents.clone(), &update, &mut rng);
            values.integers(&format!("{prefix}codes"), quantized.codes);
            if let Some((weight, sizes, sums)) = moved.tables(0) {
                values.floats(&format!("{prefix}weight"), weight);
                values.floats(&format!("{prefix}cluster_size_ema"), sizes);
                values.floats(&format!("{prefix}embed_ema"), sums);
            }
        }
    }
}

/// Names of the case for what the decoder reports.
fn stage_name(name: &str) -> String {
    match name.strip_prefix("decoder.") {
        Some("mid_block") => "decoder.mid".to_owned(),
        Some(stage) => format!("decoder.{}", stage.replace("level", "up")),
        None => name.to_owned(),
    }
}
