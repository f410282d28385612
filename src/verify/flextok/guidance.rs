//! Guidance by itself: the velocity that it makes of a conditional and an unconditional one.

use burn::tensor::Tensor;
use tessera_layers::checkpoint::read_config;
use tessera_shaders::{EulerStep, Projection, euler_step};

use crate::verify::{Case, CaseError, Values};

/// Sampling settings of the recorded tensors.
pub(super) struct Settings {
    pub steps: usize,
    pub keep: Vec<usize>,
    pub apg_scale: f32,
    pub cfg_scale: f32,
    pub projection: Projection,
}

impl Settings {
    pub fn of(case: &Case) -> Result<Self, CaseError> {
        let document = read_config(&case.folder.join("guidance.json"))?;
        let wrong = |key: &str| {
            let found = document.get(key).map_or_else(|| "nothing".to_owned(), ToString::to_string);
            CaseError::input(format!("guidance.json, \"{key}\""), "a number that fits", found)
        };
        let count = |value: &serde_json::Value| value.as_u64().and_then(|count| usize::try_from(count).ok());
        let number = |key: &str| {
            let value = document.get(key).and_then(serde_json::Value::as_f64).map(|value| value as f32);
            value.ok_or_else(|| wrong(key))
        };
        let steps = document.get("steps").and_then(count).filter(|steps| (1..=1000).contains(steps));
        let keep = document.get("keep_k").and_then(serde_json::Value::as_array);
        let keep = keep.and_then(|keep| keep.iter().map(count).collect::<Option<Vec<usize>>>());
        Ok(Self {
            steps: steps.ok_or_else(|| wrong("steps"))?,
            keep: keep.ok_or_else(|| wrong("keep_k"))?,
            apg_scale: number("apg_scale")?,
            cfg_scale: number("cfg_scale")?,
            projection: Projection {
                eta: number("apg_eta")?,
                momentum: number("apg_momentum")?,
                norm_threshold: number("apg_norm_threshold")?,
            },
        })
    }
}

pub(super) fn run(settings: &Settings, cond: Tensor<4>, uncond: Tensor<4>, values: &mut Values) {
    // A step of length -1 from zero is the velocity itself.
    let guided = |cond: Tensor<4>, uncond: Tensor<4>, running, guidance, projection| {
        let step = EulerStep { dt: -1.0, guidance, projection };
        euler_step(cond.zeros_like(), cond, Some(uncond), running, &step)
    };
    let (c, u) = (|factor: f32| cond.clone().mul_scalar(factor), |factor: f32| uncond.clone().mul_scalar(factor));
    values.floats("single.cfg_guided", guided(c(1.0), u(1.0), None, settings.cfg_scale, None).0);
    let mut running = None;
    for (call, of_cond, of_uncond) in [(1, 1.0, 1.0), (2, 0.9, 1.1), (3, 3.0, 3.0)] {
        let (velocity, kept) = guided(c(of_cond), u(of_uncond), running, settings.apg_scale, Some(settings.projection));
        running = kept;
        values.floats(&format!("single.apg_guided_call{call}"), velocity);
    }
    // Without a buffer, the numbers in the name: `single.apg_guided_nomomentum_eta<eta>_thr<threshold>`.
    const BARE: &str = "single.apg_guided_nomomentum_eta";
    let bare: Vec<String> = values.wanted().filter(|name| name.starts_with(BARE)).map(str::to_owned).collect();
    for name in bare {
        let numbers = name.strip_prefix(BARE).and_then(|rest| rest.split_once("_thr"));
        let Some((Ok(eta), Ok(norm_threshold))) = numbers.map(|(eta, limit)| (eta.parse(), limit.parse())) else {
            continue;
        };
        let projection = Projection { eta, momentum: 0.0, norm_threshold };
        values.floats(&name, guided(c(1.0), u(1.0), None, settings.apg_scale, Some(projection)).0);
    }
    let close = c(0.7) + u(0.3);
    let velocity = guided(c(1.0), close, None, settings.apg_scale, Some(settings.projection)).0;
    values.floats("single.apg_guided_small_diff", velocity);
    let [batch, ..] = cond.dims();
    let difference = (cond - uncond).reshape([batch as i32, -1]);
    values.floats("single.apg_diff_norm", difference.square().sum_dim(1).sqrt().reshape([batch]));
}
