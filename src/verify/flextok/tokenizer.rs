//! Whole tokenizers: encode, one velocity, guidance, sampling, and the training loss with gradients.

use burn::tensor::{Device, Tensor};
use tessera_layers::{Tap, Trace};
use tessera_tokenizers::Tokens;
use tessera_tokenizers::flextok::{Condition, FlexTok, FlexTokConfig, PosteriorChoice, load, resolve_vae};

use super::super::inputs::float_input;
use super::{guidance, sampling, training};
use crate::verify::{Case, CaseError, Value, Values};

/// The time at which the recorded single velocities were taken.
const SINGLE_TIME: f32 = 0.75;

pub(super) fn run(case: &Case, device: &Device, values: &mut Values) -> Result<(), CaseError> {
    let config = FlexTokConfig::from_value(&resolve_vae(case.config.clone(), &case.folder)?)?;
    let weights = case.weights()?;
    let model = load(&config, &weights, device)?;
    let settings = guidance::Settings::of(case)?;
    let image = float_input::<4>(case, "image", device)?;
    let (latents, tokens) = encode(case, &model, image, values)?;
    let noise = float_input::<4>(case, "noise", device)?;
    let [cond, uncond] = velocities(&model, &tokens, &settings, noise.clone(), values);
    guidance::run(&settings, cond, uncond, values);
    sampling::run(&model, &tokens, &settings, &noise, values)?;
    if values.wants_any("train.") {
        training::run(case, &config, &weights, latents, device, values)?;
    }
    Ok(())
}

/// Recorded pictures are in -1..=1, the tokenizer takes 0..=1: the network is fed directly, tokens come through the trait's
/// path as well.
fn encode(
    case: &Case,
    model: &FlexTok,
    image: Tensor<4>,
    values: &mut Values,
) -> Result<(Tensor<4>, Tokens), CaseError> {
    let network = model.network();
    let choice = match case.has_input("posterior_noise") {
        true => PosteriorChoice::Noise(float_input::<4>(case, "posterior_noise", &image.device())?),
        false => PosteriorChoice::Mean,
    };
    let posterior = network.posterior(
        image.clone(),
        &mut Trace::new(&mut |name, tap| match name {
            "moments" => values.tap("vae.moments", tap),
            name => values.tap(&format!("vae.{name}"), tap),
        }),
    );
    values.floats("vae.moments", Tensor::cat(vec![posterior.mean.clone(), posterior.logvar.clone()], 1));
    let drawn = match &choice {
        PosteriorChoice::Noise(noise) => posterior.sample(noise.clone()),
        _ => posterior.mean,
    };
    let latents = network.scaled(drawn);
    values.floats("vae.latents", latents.clone());
    let registers = network
        .registers(latents.clone(), &mut Trace::new(&mut |name, tap| values.tap(&format!("encoder.{name}"), tap)));
    values.floats("latents_pre_quant", registers.clone());
    values.floats("fsq.bounded", network.quantizer().bounded(registers.clone()));
    values.floats("quantized", network.quantizer().quantize(registers).0);

    let tokens = model.encode_with(image.add_scalar(1.0).mul_scalar(0.5), &choice)?;
    let ids = tokens.ids().iter().copied().map(i64::from).collect();
    values.insert("tokens", Value::Integers(vec![tokens.batch(), tokens.positions()], ids));
    Ok((latents, tokens))
}

/// One conditional and one unconditional pass of the decoder.
fn velocities(
    model: &FlexTok,
    tokens: &Tokens,
    settings: &guidance::Settings,
    x: Tensor<4>,
    values: &mut Values,
) -> [Tensor<4>; 2] {
    let (network, batch) = (model.network(), tokens.batch());
    let keep = settings.keep.get(1).copied().unwrap_or(1);
    // Ids past those that are kept are replaced by id 0 before they are looked up.
    let ids: Vec<i32> = tokens
        .ids()
        .iter()
        .enumerate()
        .map(|(at, &id)| if at % tokens.positions().max(1) < keep { i32::try_from(id).unwrap_or(0) } else { 0 })
        .collect();
    let shape = [batch, tokens.positions()];
    let ids = Tensor::from_data(burn::tensor::TensorData::new(ids, shape), &x.device());
    let codes = network.quantizer().vectors(ids);
    values.floats("dequantized_padded", codes.clone());
    let mut pass = |name: &str, condition: Condition| {
        let decoder = network.decoder();
        let mut observer = |inner: &str, tap: Tap| values.tap(&format!("single.{name}.decoder.{inner}"), tap);
        let registers = decoder.registers(codes.clone(), &vec![condition; batch], &mut Trace::new(&mut observer));
        let velocity =
            decoder.velocity(x.clone(), registers, &vec![SINGLE_TIME; batch], &mut Trace::new(&mut observer));
        values.floats(&format!("single.{name}.velocity"), velocity.clone());
        velocity
    };
    [pass("cond", Condition::Tokens(keep)), pass("uncond", Condition::Null)]
}
