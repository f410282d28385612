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
    let options = |steps: usize| {
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
    if values.wants("decode.mixed_k.apg.2steps.latents") {
        let (first, rest) = (settings.keep.first().copied(), settings.keep.last().copied());
        let positions = tokens.positions();
        let kept = (0..tokens.batch() * positions).map(|at| {
            let keep = if at < positions { first } else { rest };
            at % positions < keep.unwrap_or(positions)
        });
        let mixed = tokens.clone().with_kept(kept.collect()).map_err(tessera_tokenizers::TokenizerError::from)?;
        let mut options = options(2);
        options.flow.guidance = Some(Guidance::Constant(settings.apg_scale));
        options.flow.projection = Some(Some(settings.projection));
        let latents = model.sample(&mixed, &options, Some(noise.clone()), &mut |_| ControlFlow::Continue(()))?;
        values.floats("decode.mixed_k.apg.2steps.latents", latents);
    }
    if values.wants("decode.schedule_1_plus_4t.cfg.3steps.latents") {
        let mut options = options(3);
        options.keep = settings.keep.get(1).copied();
        options.flow.guidance = Some(Guidance::Linear { base: 1.0, slope: 4.0 });
        options.flow.projection = Some(None);
        let latents = model.sample(tokens, &options, Some(noise.clone()), &mut |_| ControlFlow::Continue(()))?;
        values.floats("decode.schedule_1_plus_4t.cfg.3steps.latents", latents);
    }
    Ok(())
}
