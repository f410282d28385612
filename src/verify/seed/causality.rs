//! Causality: queries disturbed from some place on, fewer queries, and the same without the mask.

use burn::tensor::{Device, Tensor, TensorData};
use tessera_layers::Trace;
use tessera_tokenizers::seed::{SeedConfig, SeedNetwork, load};

use super::{image, numbered};
use crate::verify::inputs::float_input;
use crate::verify::{Case, CaseError, Values};

pub(super) fn run(case: &Case, device: &Device, values: &mut Values) -> Result<(), CaseError> {
    let config = SeedConfig::from_value(&case.config)?;
    let tokenizer = load(&config, &case.weights()?, device)?;
    let network = tokenizer.network();
    let encoder = network.encoder();
    let image = image(case, &config.encoder.vit, device)?;
    let vision = encoder.vision(image, &mut Trace::none());
    let vision = encoder.normalised(vision, &mut Trace::new(&mut |name, tap| values.tap(name, tap)));
    let look = |queries: Tensor<3>, causal: bool| encoder.look(queries, vision.clone(), causal, &mut Trace::none());

    let queries = encoder.query_tokens();
    let [_, count, _] = queries.dims();
    put(network, "base", look(queries.clone(), true), values);
    put(network, "noncausal", look(queries.clone(), false), values);
    for length in numbered(values, "prefix") {
        if length == 0 || length > count {
            return Err(CaseError::input("a prefix", format!("1 to {count} queries"), length.to_string()));
        }
        put(network, &format!("prefix{length}"), look(queries.clone().slice([0..1, 0..length]), true), values);
    }

    let delta = float_input::<3>(case, "query_delta", device)?;
    if delta.dims() != queries.dims() {
        let expected = format!("{:?}", queries.dims());
        return Err(CaseError::input("input \"query_delta\"", expected, format!("{:?}", delta.dims())));
    }
    let mut cuts = [numbered(values, "cut"), numbered(values, "noncausal_cut")].concat();
    if case.has_input("cuts") {
        let (_, listed) = case.integers::<1>("cuts")?;
        cuts.extend(listed.into_iter().filter_map(|cut| usize::try_from(cut).ok()));
    }
    cuts.sort_unstable();
    cuts.dedup();
    for cut in cuts {
        if cut >= count {
            return Err(CaseError::input("a cut", format!("0 to {}", count - 1), cut.to_string()));
        }
        // Rows before the cut stay as they are.
        let factors: Vec<f32> = (0..count).map(|row| f32::from(u8::from(row >= cut))).collect();
        let factors = Tensor::<3>::from_data(TensorData::new(factors, [1, count, 1]), device);
        let changed = queries.clone() + delta.clone() * factors;
        put(network, &format!("cut{cut}"), look(changed.clone(), true), values);
        // Of the control the recording has the first rows alone, which no later query may change under the mask.
        let control = look(changed, false);
        let [batch, _, width] = control.dims();
        let name = format!("noncausal_cut{cut}.causal_embeddings");
        let rows = recorded_rows(case, &name).unwrap_or(1).clamp(1, count);
        values.floats(&name, control.slice([0..batch, 0..rows, 0..width]));
    }
    Ok(())
}

/// Rows of an expected tensor `[batch, rows, width]`.
fn recorded_rows(case: &Case, name: &str) -> Option<usize> {
    let entries = case.expected.iter().flat_map(|expected| expected.entries());
    entries.into_iter().find(|entry| entry.name == name)?.shape.get(1).copied()
}

/// Embeddings, latents and tokens under `{name}.`.
fn put(network: &SeedNetwork, name: &str, embeddings: Tensor<3>, values: &mut Values) {
    values.floats(&format!("{name}.causal_embeddings"), embeddings.clone());
    let latents = network.codec().latents(embeddings);
    values.floats(&format!("{name}.pre_quant"), latents.clone());
    values.integers(&format!("{name}.tokens"), network.codec().quantizer().indices(latents));
}
