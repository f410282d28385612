//! Sampling: `decode.k<tokens>.<guidance>`, lengths that differ inside a batch, and a schedule of guidance.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use burn::tensor::Tensor;
use tessera_layers::Trace;
use tessera_tokenizers::flextok::{FlexTok, Guidance};
use tessera_tokenizers::{DecodeOptions, Tokens};

use super::guidance::Settings;
use crate::verify::{CaseError, Values};

pub(super) fn run(
    model: &FlexTok,
    tokens: &Tokens,
    settings: &Settings,
    noise: &Tensor<4>,
    values: &mut Values,
) -> Result<(), CaseError> {
    let cell = model.config().vae.architecture.cell();
    let [_, _, h, w] = noise.dims();
    let options = |steps: usize| -> DecodeOptions {
        let mut options = DecodeOptions::default();
        options.size = Some([h * cell, w * cell]);
        options.flow.steps = Some(steps);
        options
    };
    let named: BTreeSet<(usize, String)> = values
        .wanted()
        .filter_map(|name| {
            let (keep, rest) = name.strip_prefix("decode.k")?.split_once('.')?;
            Some((keep.parse().ok()?, rest.split_once('.')?.0.to_owned()))
        })
        .collect();
    for (keep, kind) in named {
        let mut options = options(settings.steps);
        options.keep = Some(keep);
        let (scale, projection) = match kind.as_str() {
            "apg" => (settings.apg_scale, Some(settings.projection)),
            "cfg" => (settings.cfg_scale, None),
            "none" => (1.0, None),
            _ => continue,
        };
        (options.flow.guidance, options.flow.projection) = (Some(Guidance::Constant(scale)), Some(projection));
        let prefix = format!("decode.k{keep}.{kind}");
        let mut steps = Vec::new();
        let latents = model.sample(tokens, &options, Some(noise.clone()), &mut |step| {
            steps.push(step.latents.clone().unsqueeze_dim::<5>(0));
            ControlFlow::Continue(())
        })?;
        values.floats(&format!("{prefix}.latents_steps"), Tensor::cat(steps, 0));
        let mut observer = |name: &str, tap| values.tap(&format!("{prefix}.vae.{name}"), tap);
        let picture = model.network().picture(latents, &mut Trace::new(&mut observer));
        values.floats(&format!("{prefix}.reconstruction"), picture);
    }
    mixed(model, tokens, settings, noise, &options, values)?;
    scheduled(model, tokens, settings, noise, &options, values)
}

/// `decode.mixed_k.apg.<n>steps.latents`: the first item keeps the first of the lengths, the others the last.
fn mixed(
    model: &FlexTok,
    tokens: &Tokens,
    settings: &Settings,
    noise: &Tensor<4>,
    options: &dyn Fn(usize) -> DecodeOptions,
    values: &mut Values,
) -> Result<(), CaseError> {
    for (name, steps) in named(values, "decode.mixed_k.apg.") {
        let (first, rest) = (settings.keep.first().copied(), settings.keep.last().copied());
        let positions = tokens.positions();
        let kept = (0..tokens.batch() * positions).map(|at| {
            let keep = if at < positions { first } else { rest };
            at % positions < keep.unwrap_or(positions)
        });
        let mixed = tokens.clone().with_kept(kept.collect()).map_err(tessera_tokenizers::TokenizerError::from)?;
        let mut options = options(steps);
        options.flow.guidance = Some(Guidance::Constant(settings.apg_scale));
        options.flow.projection = Some(Some(settings.projection));
        let latents = model.sample(&mixed, &options, Some(noise.clone()), &mut |_| ControlFlow::Continue(()))?;
        values.floats(&name, latents);
    }
    Ok(())
}

/// `decode.schedule_<a>_plus_<b>t.cfg.<n>steps.latents`: plain guidance of scale `a + b t` from the second of the lengths.
fn scheduled(
    model: &FlexTok,
    tokens: &Tokens,
    settings: &Settings,
    noise: &Tensor<4>,
    options: &dyn Fn(usize) -> DecodeOptions,
    values: &mut Values,
) -> Result<(), CaseError> {
    for (name, steps) in named(values, "decode.schedule_") {
        let line = name.strip_prefix("decode.schedule_").and_then(|rest| rest.split_once("t.cfg."));
        let line = line.and_then(|(line, _)| line.split_once("_plus_"));
        let Some((Ok(base), Ok(slope))) = line.map(|(base, slope)| (base.parse(), slope.parse())) else { continue };
        let mut options = options(steps);
        options.keep = settings.keep.get(1).copied();
        options.flow.guidance = Some(Guidance::Linear { base, slope });
        options.flow.projection = Some(None);
        let latents = model.sample(tokens, &options, Some(noise.clone()), &mut |_| ControlFlow::Continue(()))?;
        values.floats(&name, latents);
    }
    Ok(())
}

/// Expected tensors that begin so and end in `.<n>steps.latents`, with n.
fn named(values: &Values, prefix: &str) -> Vec<(String, usize)> {
    let steps = |name: &str| name.strip_suffix("steps.latents")?.rsplit_once('.')?.1.parse().ok();
    let names = values.wanted().filter(|name| name.starts_with(prefix));
    names.filter_map(|name| Some((name.to_owned(), steps(name)?))).collect()
}
