//! The quantizer over scales, on a line and on a square.

use std::collections::BTreeSet;

use burn::tensor::{Device, Tensor};
use serde::Deserialize;
use tessera_layers::checkpoint::Weights;
use tessera_layers::{ParamSource, Params, load_strict};
use tessera_tokenizers::bitstream::payload;
use tessera_tokenizers::quantizers::scales::{ScaleNames, down_matrix, phi_index, up_matrix};
use tessera_tokenizers::quantizers::{ScaleCodes, ScaleQuantizer, ScaleQuantizerConfig};
use tessera_tokenizers::vat::Moments;
use tessera_tokenizers::{ConfigError, Fingerprint, LoadError, Tokens, id_bits};

use super::expect;
use crate::verify::inputs::float_input;
use crate::verify::{Case, CaseError, Value, Values, gradients};

#[derive(Deserialize)]
struct Config {
    latent_dim: usize,
    num_latents: usize,
    quantizer: ScaleQuantizerConfig,
}

impl Config {
    fn read(case: &Case) -> Result<Self, CaseError> {
        let config: Self = serde_json::from_value(case.config.clone())
            .map_err(|error| ConfigError::invalid("(whole file)", "sizes of a quantizer", error.to_string()))?;
        config.quantizer.check(config.num_latents)?;
        match (1..=1 << 12).contains(&config.latent_dim) {
            true => Ok(config),
            false => Err(ConfigError::invalid("latent_dim", "1 to 4096", config.latent_dim.to_string()).into()),
        }
    }

    /// The quantizer under the names that the file has: VAR's, or ours.
    fn make(&self, params: &Params, weights: &Weights, znorm: bool) -> Result<ScaleQuantizer, LoadError> {
        let is_var = weights.entries().iter().any(|entry| entry.name.starts_with("quantize."));
        let (prefix, names) = if is_var { ("quantize", ScaleNames::Var) } else { ("quantizer", ScaleNames::Plain) };
        let config = ScaleQuantizerConfig { znorm, ..self.quantizer.clone() };
        Ok(ScaleQuantizer::new(&params.at(prefix), &config, [self.num_latents, self.latent_dim], names)?)
    }

    fn load(&self, weights: &Weights, znorm: bool, device: &Device) -> Result<ScaleQuantizer, CaseError> {
        let (quantizer, ..) = load_strict(weights, &[], device, |params: &Params| self.make(params, weights, znorm))?;
        Ok(quantizer)
    }
}

/// Latents of points: three runs, matrices, packing, the generator's inputs, gradients.
pub(super) fn run_line(case: &Case, device: &Device, values: &mut Values) -> Result<(), CaseError> {
    let (config, weights) = (Config::read(case)?, case.weights()?);
    let moments = moments(case, &config, device)?;
    let noise = float_input::<3>(case, "noise", device)?;
    expect("noise", noise.dims(), moments.mu.dims())?;
    values.floats("kl", moments.kl());
    let (mean, sampled) = (moments.mu.clone(), moments.sample(noise));
    values.floats("sampled.z", sampled.clone());
    for (name, z, znorm) in [
        ("mode", mean.clone(), config.quantizer.znorm),
        ("sampled", sampled, config.quantizer.znorm),
        ("znorm", mean, true),
    ] {
        let quantizer = config.load(&weights, znorm, device)?;
        let codes = quantizer.quantize(z.clone());
        values.integers(&format!("{name}.tokens"), codes.all_ids());
        values.floats(&format!("{name}.vq_loss"), codes.loss(z, config.quantizer.beta));
        for (scale, (sum, rest)) in (1..).zip(codes.sums.iter().zip(&codes.rests)) {
            values.floats(&format!("{name}.z_hat.prefix{scale}"), sum.clone());
            values.floats(&format!("{name}.residual.after{scale}"), rest.clone());
        }
        if name == "mode" {
            next_inputs(&quantizer, &codes, values);
            packing(&config, &codes, values)?;
        }
    }
    plan(&config, values);
    trained(case, &config, &weights, device, values)
}

fn moments(case: &Case, config: &Config, device: &Device) -> Result<Moments, CaseError> {
    let (mu, logvar) = (float_input::<3>(case, "mu", device)?, float_input::<3>(case, "logvar", device)?);
    let [batch, ..] = mu.dims();
    expect("mu", mu.dims(), [batch, config.num_latents, config.latent_dim])?;
    expect("logvar", logvar.dims(), mu.dims())?;
    Ok(Moments::new(mu, logvar))
}

/// What a generator is told before each scale but the first.
fn next_inputs(quantizer: &ScaleQuantizer, codes: &ScaleCodes, values: &mut Values) {
    for (scale, sum) in (1..quantizer.scales().len()).zip(&codes.sums) {
        values.floats(&format!("ar_input.scale{}", scale + 1), quantizer.down(sum.clone(), scale));
    }
}

/// The first item's tokens in bits.
fn packing(config: &Config, codes: &ScaleCodes, values: &mut Values) -> Result<(), CaseError> {
    let quantizer = &config.quantizer;
    let vocab = u32::try_from(quantizer.codebook_size).unwrap_or(u32::MAX);
    let [_, count] = codes.all_ids().dims();
    let ids = codes.all_ids().narrow(0, 0, 1).into_data();
    let ids = ids.iter::<i64>().map(|id| u32::try_from(id).unwrap_or(u32::MAX)).collect();
    let tokens = Tokens::new(ids, 1, quantizer.layout(), vec![vocab], Fingerprint::default())
        .map_err(|error| CaseError::input("packed tokens", format!("{count} ids"), error.to_string()))?;
    let packed: Vec<i64> = payload(&tokens).into_iter().map(i64::from).collect();
    let bytes = i64::try_from(quantizer.payload_bytes()).unwrap_or(i64::MAX);
    values.insert("bits_per_token", Value::Integers(vec![1], vec![i64::from(id_bits(vocab))]));
    values.insert("payload_bytes", Value::Integers(vec![1], vec![bytes]));
    values.insert("packed_tokens", Value::Integers(vec![packed.len()], packed));
    Ok(())
}

/// What has no weights: matrices by the sizes in their names, and which convolution a scale uses.
fn plan(config: &Config, values: &mut Values) {
    let (quantizer, latents) = (&config.quantizer, config.num_latents);
    let counts: BTreeSet<usize> = quantizer.scales.iter().copied().collect();
    for count in counts {
        let down = down_matrix(quantizer.resample, count, latents);
        let up = up_matrix(quantizer.resample, count, latents);
        values.insert(&format!("down_matrix.{count}"), Value::Floats(vec![count, latents], down));
        values.insert(&format!("up_matrix.{count}"), Value::Floats(vec![latents, count], up));
    }
    let scales = quantizer.scales.len();
    let indices = (0..scales).map(|scale| phi_index(scale, scales, quantizer.convolutions()));
    let indices = indices.map(|index| i64::try_from(index).unwrap_or(i64::MAX)).collect();
    values.insert("phi_index", Value::Integers(vec![scales], indices));
}

/// Gradients of the sampled run's loss plus the weighted mean of what goes on.
fn trained(
    case: &Case,
    config: &Config,
    weights: &Weights,
    device: &Device,
    values: &mut Values,
) -> Result<(), CaseError> {
    let device = device.clone().autodiff();
    let source = ParamSource::weights(weights, "", &device);
    let quantizer = config.make(&source.root(), weights, config.quantizer.znorm)?;
    let noise = float_input::<3>(case, "noise", &device)?;
    let factors = float_input::<3>(case, "grad_weight", &device)?;
    let z: Tensor<3> = moments(case, config, &device)?.sample(noise).detach().require_grad();
    expect("grad_weight", factors.dims(), z.dims())?;
    let codes = quantizer.quantize(z.clone());
    let loss = codes.loss(z.clone(), config.quantizer.beta) + (codes.straight_through(z.clone()) * factors).mean();
    let backward = loss.backward();
    if let Some(gradient) = z.grad(&backward) {
        values.floats("z", gradient);
    }
    for spec in source.into_taken() {
        if values.wants(&spec.name) {
            gradients::take(&quantizer, &spec, &backward, &spec.name, values);
        }
    }
    Ok(())
}

/// A feature map, as VAR's quantizer takes it.
pub(super) fn run_grid(case: &Case, device: &Device, values: &mut Values) -> Result<(), CaseError> {
    let (config, weights) = (Config::read(case)?, case.weights()?);
    let quantizer = config.load(&weights, config.quantizer.znorm, device)?;
    let map = float_input::<4>(case, "f", device)?;
    let ([batch, ..], side, latents) = (map.dims(), config.num_latents.isqrt(), config.num_latents);
    let channels = config.latent_dim;
    expect("f", map.dims(), [batch, channels, side, side])?;
    let z = map.reshape([batch, channels, latents]).swap_dims(1, 2);
    let codes = quantizer.quantize(z.clone());
    values.integers("tokens", codes.all_ids());
    values.floats("vq_loss", codes.loss(z, config.quantizer.beta));
    let as_map = |sum: &Tensor<3>| sum.clone().swap_dims(1, 2).reshape([batch, channels, side, side]);
    for (scale, sum) in (1..).zip(&codes.sums) {
        values.floats(&format!("f_hat.prefix{scale}"), as_map(sum));
    }
    if let Some(sum) = codes.sums.last() {
        values.floats("f_hat", as_map(sum));
    }
    let inputs: Vec<Tensor<3>> =
        (1..quantizer.scales().len()).zip(&codes.sums).map(|(scale, sum)| quantizer.down(sum.clone(), scale)).collect();
    if !inputs.is_empty() {
        values.floats("next_scale_inputs", Tensor::cat(inputs, 1));
    }
    Ok(())
}
