//! Cases of surfaces: where fields on lattices over `[-1, 1]^3` cross a level. Nothing here runs on a device.

use tessera_datasets::shape::{Lattice, LatticeEdge, Point, Surface, SurfaceOptions, extract_surface};

use crate::verify::{Case, CaseError, Value, Values};

pub(super) fn run(case: &Case, values: &mut Values) -> Result<(), CaseError> {
    let level = case.config.get("iso").and_then(serde_json::Value::as_f64).unwrap_or(0.0) as f32;
    for entry in case.inputs.entries() {
        let Some(name) = entry.name.strip_prefix("grid.") else { continue };
        let surface = surface(case, &entry.name, level)?;
        let mut found: Vec<(LatticeEdge, Point)> =
            surface.crossings.iter().copied().zip(surface.mesh.vertices().iter().copied()).collect();
        // Edges along x, then y, then z, each in the order of their lower ends.
        found.sort_by_key(|(edge, _)| *edge);
        let edges = found.iter().flat_map(|(edge, _)| {
            let [x, y, z] = edge.lower;
            [i64::from(edge.axis), x.into(), y.into(), z.into()]
        });
        let edges = Value::Integers(vec![found.len(), 4], edges.collect());
        let places = found.iter().flat_map(|(_, place)| [place.x, place.y, place.z].map(|value| value as f32));
        let places = Value::Floats(vec![found.len(), 3], places.collect());
        values.insert(&format!("crossing_edges.{name}"), edges);
        values.insert(&format!("crossings.{name}"), places);
    }
    Ok(())
}

/// The surface of one of the case's fields, through the public extractor.
fn surface(case: &Case, name: &str, level: f32) -> Result<Surface, CaseError> {
    let ([side, height, depth], samples) = case.floats::<3>(name)?;
    if height != side || depth != side {
        let found = format!("{side} x {height} x {depth}");
        return Err(CaseError::input(format!("input \"{name}\""), "as many samples along each axis", found));
    }
    let lattice = Lattice::cube(side)?;
    let mut field = |places: &[Point]| {
        let index = |coordinate: f64| ((coordinate + 1.0) / lattice.spacing()).round() as usize;
        let sample = |place: &Point| samples.get((index(place.x) * side + index(place.y)) * side + index(place.z));
        let values = places.iter().map(|place| sample(place).map(|value| value - level));
        values.collect::<Option<Vec<f32>>>().ok_or_else(|| "a place outside of the lattice".into())
    };
    Ok(extract_surface(&SurfaceOptions { seal: false, ..SurfaceOptions::new(lattice) }, &mut field)?)
}
