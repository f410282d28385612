//! The generator: the loss of given draws with its gradients, and sampling with given noise.

use std::ops::ControlFlow;

use burn::tensor::{Device, Int, Tensor, TensorData};
use tessera_generators::GuidanceSchedule;
use tessera_generators::xar::{
    Listener, Noise, Solver, XarConfig, XarDraws, XarNetwork, XarPlan, XarPrompt, load, loss, sample, scales,
    thousandths, times,
};
use tessera_layers::{ParamSource, Trace};

use crate::verify::inputs::float_input;
use crate::verify::{Case, CaseError, Value, Values, gradients};

pub(super) fn run(case: &Case, device: &Device, values: &mut Values) -> Result<(), CaseError> {
    let config = XarConfig::from_value(&case.config)?;
    // Loads as a user does; the training part takes its own copy, which tracks gradients.
    let generator = load(&config, &case.weights()?, device)?;
    let network = generator.network();
    let raster = network.entities().raster().iter().map(|&at| at as i64).collect();
    values.insert("order.raster_index", Value::Integers(vec![network.entities().len()], raster));
    training(case, &config, device, values)?;
    sampling(case, &config, network, device, values)
}

/// Labels as prompts; the number of classes stands for none.
fn prompts(case: &Case, name: &str, config: &XarConfig) -> Result<Vec<XarPrompt>, CaseError> {
    let (_, labels) = case.integers::<1>(name)?;
    labels
        .into_iter()
        .map(|label| match usize::try_from(label) {
            Ok(null) if null == config.class_num => Ok(XarPrompt::Class(None)),
            Ok(known) if known < config.class_num => Ok(XarPrompt::Class(u32::try_from(label).ok())),
            _ => {
                let expected = format!("classes 0..={}, the last for none", config.class_num);
                Err(CaseError::input(format!("input \"{name}\""), expected, label.to_string()))
            }
        })
        .collect()
}

/// Entity-major draws `[entities, rows, size, channels]` as `[rows, positions, channels]`.
fn by_row(draws: Tensor<4>) -> Tensor<3> {
    let [entities, rows, size, channels] = draws.dims();
    draws.permute([1, 0, 2, 3]).reshape([rows, entities * size, channels])
}

fn training(case: &Case, config: &XarConfig, device: &Device, values: &mut Values) -> Result<(), CaseError> {
    let device = device.clone().autodiff();
    let weights = case.weights()?;
    let source = ParamSource::weights(&weights, "", &device);
    let network = XarNetwork::new(&source.root(), config)?;
    let mut prompts = prompts(case, "train.labels", config)?;
    let rows = prompts.len();
    let (_, uniform) = case.floats::<1>("train.label_drop_uniform")?;
    let (_, times) = case.floats::<1>("train.timesteps")?;
    let latents = float_input::<4>(case, "train.latents", &device)?;
    let noise = float_input::<4>(case, "train.noise", &device)?;
    let [items, channels, height, width] = latents.dims();
    let entities = network.entities().ranges().len();
    let size = network.entities().common_size().unwrap_or(0);
    let fits = items == rows
        && uniform.len() == rows
        && times.len() == entities * rows
        && [height, width] == config.grid()
        && channels == config.vae_embed_dim
        && noise.dims() == [entities, rows, size, channels];
    if !fits {
        let expected =
            format!("{rows} rows of {entities} entities of {size} latents of {} channels", config.vae_embed_dim);
        let found = format!("latents {:?}, noise {:?}", latents.dims(), noise.dims());
        return Err(CaseError::input("inputs \"train.*\"", expected, found));
    }
    for (prompt, uniform) in prompts.iter_mut().zip(uniform) {
        if uniform < config.label_drop_prob {
            *prompt = prompt.without();
        }
    }
    let classes = prompts.iter().map(|prompt| match prompt {
        XarPrompt::Class(Some(class)) => i64::from(*class),
        _ => config.class_num as i64,
    });
    values.insert("train.labels_effective", Value::Integers(vec![rows], classes.collect()));
    let seen = times.iter().map(|&time| i64::from(thousandths(time))).collect();
    values.insert("train.timesteps_int", Value::Integers(vec![times.len()], seen));
    let draws = XarDraws { times, noise: by_row(noise) };
    let latents = latents.reshape([rows, channels, height * width]).swap_dims(1, 2);
    let mut observer = |name: &str, tap| values.tap(&format!("train.{name}"), tap);
    let loss = loss(&network, latents, &prompts, &draws, &mut Trace::new(&mut observer));
    values.floats("train.x_t", loss.noisy);
    values.floats("train.target", loss.target);
    values.floats("train.velocity", loss.velocity);
    values.floats("train.loss", loss.loss.clone());
    let backward = loss.loss.backward();
    for spec in source.into_taken() {
        let name = format!("train.grad.{}", spec.name);
        if values.wants(&name) {
            gradients::take(&network, &spec, &backward, &name, values);
        }
    }
    Ok(())
}

/// The case's noise.
struct Given {
    start: Tensor<4>,
    steps: Tensor<5>,
}

impl Noise for Given {
    fn draw(&mut self, entity: usize, step: Option<usize>, shape: [usize; 3]) -> Tensor<3> {
        let drawn = match step {
            None => self.start.clone().narrow(0, entity, 1),
            Some(step) => self.steps.clone().narrow(0, entity, 1).narrow(1, step, 1).squeeze_dim(1),
        };
        drawn.reshape(shape)
    }
}

fn sampling(
    case: &Case,
    config: &XarConfig,
    network: &XarNetwork,
    device: &Device,
    values: &mut Values,
) -> Result<(), CaseError> {
    let prompts = prompts(case, "sample.labels", config)?;
    let (rows, channels) = (prompts.len(), config.vae_embed_dim);
    let entities = network.entities().ranges().len();
    let size = network.entities().common_size().unwrap_or(0);
    let start = float_input::<4>(case, "sample.noise_init", device)?;
    let steps = float_input::<5>(case, "sample.noise_eps", device)?;
    let [_, gaps, ..] = steps.dims();
    if start.dims() != [entities, rows, size, channels] || steps.dims() != [entities, gaps, rows, size, channels] {
        let expected = format!("{entities} entities of {rows} rows of {size} latents of {channels} channels");
        let found = format!("{:?} and {:?}", start.dims(), steps.dims());
        return Err(CaseError::input("inputs \"sample.noise_*\"", expected, found));
    }
    let plan = XarPlan { steps: gaps + 1, scale: config.cfg, schedule: GuidanceSchedule::Linear, solver: Solver::Sde };
    let seen: Vec<i64> =
        times(plan.solver, plan.steps).iter().map(|&time| i64::from(thousandths(time as f32))).collect();
    values.insert("sample.timesteps_int", Value::Integers(vec![plan.steps], seen));
    values.insert("sample.cfg_per_cell", Value::Floats(vec![entities], scales(network, &plan)));
    let (mut velocities, mut states) = (Vec::new(), Vec::new());
    let mut listener = Listener {
        on_step: &mut |seen| {
            velocities.push(seen.velocity.clone());
            if seen.entity == 1 {
                states.push(seen.state.clone());
            }
        },
        on_entity: &mut |_, _| ControlFlow::Continue(()),
    };
    let mut noise = Given { start, steps };
    let found = sample(network, &prompts, &plan, (None, &[]), true, &mut noise, &mut listener)?;
    let velocity = Tensor::stack::<4>(velocities, 0).reshape([entities, plan.steps, 2 * rows, size, channels]);
    values.floats("sample.velocity", velocity);
    if !states.is_empty() {
        values.floats("sample.x_cell1_steps", Tensor::stack::<4>(states, 0));
    }
    values.floats("sample.cells", found.clone().reshape([rows, entities, size, channels]));
    let [height, width] = config.grid();
    let latents = network.in_layout(found).swap_dims(1, 2).reshape([rows, channels, height, width]);
    values.floats("sample.tokens", latents);
    Ok(())
}

/// Positions as an index on the device.
pub(super) fn index(positions: &[usize], device: &Device) -> Tensor<1, Int> {
    let positions: Vec<i32> = positions.iter().map(|&at| i32::try_from(at).unwrap_or(0)).collect();
    let count = positions.len();
    Tensor::from_data(TensorData::new(positions, [count]), device)
}
