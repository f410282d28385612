//! Two solids by which of the same places are inside them.

use serde::Serialize;

use crate::shape::error::{Result, ShapeError};

/// How many places are inside of two solids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Overlap {
    /// Inside the first.
    pub first: usize,
    /// Inside the second.
    pub second: usize,
    /// Inside both.
    pub both: usize,
    /// Inside at least one.
    pub either: usize,
    /// Places looked at.
    pub places: usize,
}

/// Counts places `[places]`, each inside or outside of two solids.
///
/// # Errors
/// [`ShapeError::Length`] if the lists differ in length.
pub fn overlap(first: &[bool], second: &[bool]) -> Result<Overlap> {
    if first.len() != second.len() {
        return Err(ShapeError::Length { what: "labels", expected: first.len(), found: second.len() });
    }
    let mut counts = Overlap { places: first.len(), ..Overlap::default() };
    for (&first, &second) in first.iter().zip(second) {
        counts.first += usize::from(first);
        counts.second += usize::from(second);
        counts.both += usize::from(first && second);
        counts.either += usize::from(first || second);
    }
    Ok(counts)
}

impl Overlap {
    /// Volume of the intersection over that of the union; 1 if both are empty.
    pub fn iou(&self) -> f64 {
        if self.either == 0 { 1.0 } else { self.both as f64 / self.either as f64 }
    }

    /// Share of places on which the two agree; 1 for no places.
    pub fn accuracy(&self) -> f64 {
        match self.places {
            0 => 1.0,
            places => (places - (self.either - self.both)) as f64 / places as f64,
        }
    }
}

/// Mean IoU of the shapes that neighbouring scales decode to (CS-IoU): `scales` holds, from coarse to fine, which places each
/// prefix of the scales has inside. `None` for fewer than two.
///
/// # Errors
/// [`ShapeError::Length`] if the lists differ in length.
pub fn cross_scale_iou(scales: &[impl AsRef<[bool]>]) -> Result<Option<f64>> {
    let pairs = scales.windows(2).filter_map(|pair| Some(overlap(pair.first()?.as_ref(), pair.get(1)?.as_ref())));
    let ious = pairs.map(|counts| Ok(counts?.iou())).collect::<Result<Vec<f64>>>()?;
    Ok((!ious.is_empty()).then(|| ious.iter().sum::<f64>() / ious.len() as f64))
}

/// IoU of two balls of radii `a` and `b` whose centres are `distance` apart, in closed form; 1 if both are empty.
pub fn spheres_iou(a: f64, b: f64, distance: f64) -> f64 {
    let ball = |radius: f64| 4.0 / 3.0 * std::f64::consts::PI * radius.powi(3);
    let both = if distance >= a + b {
        0.0
    } else if distance <= (a - b).abs() {
        ball(a.min(b))
    } else {
        let height = a + b - distance;
        let sides = distance * distance + 2.0 * distance * (a + b) - 3.0 * (a - b).powi(2);
        std::f64::consts::PI * height.powi(2) * sides / (12.0 * distance)
    };
    let either = ball(a) + ball(b) - both;
    if either > 0.0 { both / either } else { 1.0 }
}
