//! Sampling of planes and the MLP behind it.

use burn::tensor::{Device, Tensor};
use serde::Deserialize;
use tessera_layers::{ParamSource, Params, Trace, load_strict};
use tessera_shaders::{PlaneMerge, triplane_sample};
use tessera_tokenizers::vat::{Occupancy, OccupancyConfig, OccupancyField};
use tessera_tokenizers::{ConfigError, LoadError};

use super::expect;
use crate::verify::inputs::float_input;
use crate::verify::{Case, CaseError, Value, Values};

#[derive(Deserialize)]
struct Config {
    triplane: Triplane,
    occupancy: OccupancyConfig,
    grid_resolution: Option<usize>,
}

#[derive(Deserialize)]
struct Triplane {
    channels: usize,
    bounds: f64,
}

pub(super) fn run(case: &Case, device: &Device, values: &mut Values) -> Result<(), CaseError> {
    let config: Config = serde_json::from_value(case.config.clone())
        .map_err(|error| ConfigError::invalid("(whole file)", "sizes of planes and an MLP", error.to_string()))?;
    config.occupancy.check()?;
    let Triplane { channels, bounds } = config.triplane;
    if !(bounds > 0.0 && bounds.is_finite()) {
        return Err(ConfigError::invalid("triplane.bounds", "a number above 0", bounds.to_string()).into());
    }
    let make = |params: &Params| {
        let params = params.at("occupancy");
        Ok::<_, LoadError>(Occupancy::new(&params, &config.occupancy, channels, bounds)?)
    };
    let weights = case.weights()?;
    let (occupancy, ..) = load_strict(&weights, &[], device, make)?;
    let planes = float_input::<5>(case, "planes", device)?;
    let queries = float_input::<3>(case, "queries", device)?;
    let ([batch, _, _, rows, columns], [_, asked, _]) = (planes.dims(), queries.dims());
    expect("planes", planes.dims(), [batch, 3, channels, rows, columns])?;
    expect("queries", queries.dims(), [batch, asked, 3])?;

    let places = queries.clone().div_scalar(bounds);
    values.floats("features", triplane_sample(planes.clone(), places, PlaneMerge::Concat));
    values.floats("logits", occupancy.forward(planes.clone(), queries.clone(), &mut Trace::none()));
    if let Some(side) = config.grid_resolution {
        let field = OccupancyField::new(planes.clone(), occupancy);
        let grids = (0..batch).map(|item| field.grid(item, side)).collect::<Result<Vec<_>, _>>()?;
        values.insert("grid_logits", Value::Floats(vec![batch, side, side, side], grids.concat()));
    }

    // Its own copy tracks gradients.
    let device = device.clone().autodiff();
    let source = ParamSource::weights(&weights, "", &device);
    let occupancy = make(&source.root())?;
    let planes = float_input::<5>(case, "planes", &device)?.require_grad();
    let factors = float_input::<2>(case, "grad_weight", &device)?;
    expect("grad_weight", factors.dims(), [batch, asked])?;
    let queries: Tensor<3> = float_input(case, "queries", &device)?;
    let logits = occupancy.forward(planes.clone(), queries, &mut Trace::none());
    let backward = (logits * factors).mean().backward();
    if let Some(gradient) = planes.grad(&backward) {
        values.floats("planes", gradient);
    }
    Ok(())
}
