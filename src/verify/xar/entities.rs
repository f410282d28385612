//! Entities alone: which positions they hold, in which order, and who sees whom.

use burn::tensor::{Device, Tensor};
use serde::Deserialize;
use tessera_generators::xar::{Entities, EntityKind, Sides};

use crate::verify::inputs::float_input;
use crate::verify::{Case, CaseError, Value, Values};

#[derive(Deserialize)]
struct Described {
    cases: Vec<Part>,
}

/// One way to cut a grid, of a case that holds several.
#[derive(Deserialize)]
struct Part {
    name: String,
    entity: String,
    grid: [usize; 2],
    #[serde(default)]
    cell: Option<Sides>,
    #[serde(default, alias = "subsample_distance")]
    distance: Option<Sides>,
    #[serde(default, alias = "scale", alias = "sizes")]
    scales: Option<Vec<Sides>>,
}

pub(super) fn run(case: &Case, device: &Device, values: &mut Values) -> Result<(), CaseError> {
    let described: Described = serde_json::from_value(case.config.clone())
        .map_err(|error| CaseError::input("config.json", "a list \"cases\" of entities", error.to_string()))?;
    for part in described.cases {
        let wanting = |key: &str| CaseError::input(part.name.clone(), format!("a key \"{key}\""), "none");
        let kind = match part.entity.as_str() {
            "patch" => EntityKind::Patch,
            "image" => EntityKind::Image,
            "cell" => EntityKind::Cell(part.cell.ok_or_else(|| wanting("cell"))?.both()),
            "subsample" => EntityKind::Subsample(part.distance.ok_or_else(|| wanting("distance"))?.both()),
            "scale" => {
                let scales = part.scales.as_ref().ok_or_else(|| wanting("scales"))?;
                EntityKind::Scale(scales.iter().map(|sides| sides.both()).collect())
            }
            other => return Err(CaseError::input(part.name.clone(), "a known entity", other)),
        };
        let entities = Entities::new(&kind, part.grid)?;
        let name = |what: &str| format!("{}.{what}", part.name);
        let numbers = |numbers: &mut dyn Iterator<Item = usize>| numbers.map(|at| at as i64).collect::<Vec<i64>>();
        let raster = numbers(&mut entities.raster().iter().copied());
        values.insert(&name("raster_index"), Value::Integers(vec![raster.len()], raster));
        let sizes = numbers(&mut entities.ranges().iter().map(ExactSizeIterator::len));
        values.insert(&name("entity_sizes"), Value::Integers(vec![sizes.len()], sizes));
        let (of, long) = (entities.entity_of(), entities.len());
        let marks = of.iter().flat_map(|query| of.iter().map(move |key| i64::from(key <= query))).collect();
        values.insert(&name("mask"), Value::Integers(vec![long, long], marks));
        let latent: Tensor<4> = float_input(case, &name("latent"), device)?;
        let [items, channels, height, width] = latent.dims();
        if [height, width] != part.grid {
            return Err(CaseError::input(name("latent"), format!("{:?}", part.grid), format!("{height} x {width}")));
        }
        let latent = latent.reshape([items, channels, height * width]).swap_dims(1, 2);
        let index = super::generator::index(entities.raster(), device);
        values.floats(&name("tokens"), latent.select(1, index));
    }
    Ok(())
}
