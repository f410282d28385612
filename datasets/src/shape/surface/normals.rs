//! Normals from the field itself: smoother than those of faces.

use super::Field;
use crate::shape::error::{Result, ShapeError};
use crate::shape::measure::unit_or_zero;
use crate::shape::mesh::{Point, Vector};

/// Outward unit normals `[places]` of a field that is positive inside: against its slope, from differences over `step` to both sides
/// of each place. Zero where the field is flat. The field is asked for at most `batch` places at once, six for each.
///
/// # Errors
/// [`ShapeError::Field`], [`ShapeError::Length`], or [`ShapeError::FieldValue`] as
/// [`extract_surface`](super::extract_surface); [`ShapeError::Setting`] for a step or batch of none.
pub fn field_normals(places: &[Point], step: f64, batch: usize, field: &mut Field<'_>) -> Result<Vec<Vector>> {
    if batch == 0 || !(step > 0.0 && step.is_finite()) {
        let found = format!("{step} and {batch}");
        return Err(ShapeError::Setting { what: "step and batch of normals", expected: "positive numbers", found });
    }
    let mut normals = Vec::with_capacity(places.len());
    for places in places.chunks((batch / 6).max(1)) {
        let around = places.iter().flat_map(|place| {
            (0..6).map(move |side| {
                let mut moved = *place;
                moved[side / 2] += if side % 2 == 0 { step } else { -step };
                moved
            })
        });
        let around: Vec<Point> = around.collect();
        let values = field(&around).map_err(ShapeError::Field)?;
        if values.len() != around.len() {
            let (expected, found) = (around.len(), values.len());
            return Err(ShapeError::Length { what: "values of the field", expected, found });
        }
        if let Some((place, &value)) = around.iter().zip(&values).find(|(_, value)| !value.is_finite()) {
            return Err(ShapeError::FieldValue { value, x: place.x, y: place.y, z: place.z });
        }
        normals.extend(values.as_chunks::<6>().0.iter().map(|&[right, left, up, down, front, back]| {
            let slope = [right - left, up - down, front - back].map(f64::from);
            unit_or_zero(-Vector::from(slope))
        }));
    }
    Ok(normals)
}
