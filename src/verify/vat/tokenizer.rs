//! The whole tokenizer: points to tokens to a field, and the losses of the training path with their gradients.

use burn::tensor::{Device, Tensor};
use tessera_layers::{ParamSource, Tap, Trace};
use tessera_tokenizers::vat::{Supervision, Vat, VatConfig, VatNetwork, VatStage, load, losses};
use tessera_tokenizers::{DecodeOptions, Input, Tokenizer as _, Tokens};

use super::expect;
use crate::verify::inputs::float_input;
use crate::verify::{Case, CaseError, Value, Values, gradients};

pub(super) fn run(case: &Case, device: &Device, values: &mut Values) -> Result<(), CaseError> {
    let config = VatConfig::from_value(&case.config)?;
    let tokenizer = load(&config, &case.weights()?, device)?;
    let inputs = Inputs::read(case, &config, device)?;
    let tokens = tokenizer.encode(&Input::Points { points: inputs.points.clone(), normals: inputs.normals.clone() })?;
    let ids = tokens.ids().iter().map(|&id| i64::from(id)).collect();
    values.insert("tokens", Value::Integers(vec![tokens.batch(), tokens.positions()], ids));
    forward(tokenizer.network(), &inputs, values);
    prefixes(&tokenizer, &tokens, &inputs, values)?;
    training(case, &config, device, values)
}

struct Inputs {
    points: Tensor<3>,
    normals: Option<Tensor<3>>,
    queries: Tensor<3>,
}

impl Inputs {
    fn read(case: &Case, config: &VatConfig, device: &Device) -> Result<Self, CaseError> {
        let points = float_input::<3>(case, "points", device)?;
        let [batch, count, _] = points.dims();
        expect("points", points.dims(), [batch, count, 3])?;
        let normals = || -> Result<Tensor<3>, CaseError> {
            let normals = float_input::<3>(case, "normals", device)?;
            expect("normals", normals.dims(), points.dims())?;
            Ok(normals)
        };
        let normals = config.input.use_normals.then(normals).transpose()?;
        let queries = float_input::<3>(case, "queries", device)?;
        let [_, asked, _] = queries.dims();
        expect("queries", queries.dims(), [batch, asked, 3])?;
        Ok(Self { points, normals, queries })
    }
}

/// The pass from the means of the latents, with its intermediate values.
fn forward(network: &VatNetwork, inputs: &Inputs, values: &mut Values) {
    let [batch, ..] = inputs.points.dims();
    let mut observer = |name: &str, tap: Tap| see(name, tap, batch, values);
    let mut trace = Trace::new(&mut observer);
    let moments = network.moments(inputs.points.clone(), inputs.normals.clone(), &mut trace);
    let codes = network.quantizer().quantize(moments.mu.clone());
    if let Some(sum) = codes.sums.last() {
        let planes = network.planes(sum.clone(), &mut trace);
        let logits = network.logits(planes, inputs.queries.clone(), &mut trace);
        values.floats("logits", logits);
        values.floats("z_hat", sum.clone());
    }
    values.floats("mu", moments.mu);
    values.floats("logvar", moments.logvar);
    for (scale, sum) in (1..).zip(codes.sums) {
        values.floats(&format!("quantizer.z_hat.prefix{scale}"), sum);
    }
}

/// Takes an intermediate value; the three planes of an item have a dimension of their own.
fn see(name: &str, tap: Tap, batch: usize, values: &mut Values) {
    match tap {
        Tap::Rank4(planes) => {
            let [_, channels, rows, columns] = planes.dims();
            values.floats(name, planes.reshape([batch, 3, channels, rows, columns]));
        }
        other => values.tap(name, other),
    }
}

/// What the first scales decode to, as a user decodes them.
fn prefixes(tokenizer: &Vat, tokens: &Tokens, inputs: &Inputs, values: &mut Values) -> Result<(), CaseError> {
    let [batch, asked, _] = inputs.queries.dims();
    for (scale, range) in (1..).zip(tokenizer.network().quantizer().ranges()) {
        let name = format!("logits.prefix{scale}");
        if !values.wants(&name) {
            continue;
        }
        let Some(field) = tokenizer.decode(tokens, &DecodeOptions::prefix(range.end))?.into_field() else {
            continue;
        };
        let of_item = |item: usize| {
            let points = inputs.queries.clone().narrow(0, item, 1).reshape([asked, 3]);
            Ok::<_, CaseError>(field.logits(item, points)?.reshape([1, asked]))
        };
        let logits: Vec<Tensor<2>> = (0..batch).map(of_item).collect::<Result<_, _>>()?;
        values.floats(&name, Tensor::cat(logits, 0));
    }
    Ok(())
}

fn training(case: &Case, config: &VatConfig, device: &Device, values: &mut Values) -> Result<(), CaseError> {
    let device = device.clone().autodiff();
    let weights = case.weights()?;
    let source = ParamSource::weights(&weights, "", &device);
    let network = VatNetwork::new(&source.root(), config)?;
    let inputs = Inputs::read(case, config, &device)?;
    let [batch, asked, _] = inputs.queries.dims();
    let noise = float_input::<3>(case, "noise", &device)?;
    expect("noise", noise.dims(), [batch, config.num_latents, config.latent_dim])?;
    let labels = float_input::<2>(case, "labels", &device)?;
    expect("labels", labels.dims(), [batch, asked])?;
    // Half of them, where nothing is said.
    let volume = config.loss.num_volume_queries.unwrap_or(asked / 2);
    let queries = Supervision { points: inputs.queries, labels, volume };
    let stage = VatStage::Quantized;
    let found = losses(&network, inputs.points, inputs.normals, noise, &queries, stage, &config.loss);
    values.floats("sampled.z", found.z);
    values.floats("sampled.z_hat", found.z_hat);
    values.floats("sampled.logits", found.logits);
    if let Some(ids) = found.indices {
        values.integers("sampled.tokens", ids);
    }
    if let Some(vq) = found.vq {
        values.floats("loss.vq", vq);
    }
    values.floats("loss.bce_volume", found.bce_volume);
    values.floats("loss.bce_near", found.bce_near);
    values.floats("loss.kl", found.kl);
    values.floats("loss.total", found.total.clone());
    let backward = found.total.backward();
    for spec in source.into_taken() {
        if values.wants(&spec.name) {
            gradients::take(&network, &spec, &backward, &spec.name, values);
        }
    }
    Ok(())
}
