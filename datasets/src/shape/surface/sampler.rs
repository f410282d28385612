//! Asking a field for samples, a batch at a time, and checking what it says.

use super::{Field, Lattice, SurfaceOptions};
use crate::shape::error::{Result, ShapeError};
use crate::shape::mesh::Point;

pub(super) struct Sampler<'a, 'f> {
    field: &'a mut Field<'f>,
    pub lattice: Lattice,
    seal: bool,
    batch: usize,
    evaluations: u64,
    places: Vec<Point>,
}

impl<'a, 'f> Sampler<'a, 'f> {
    pub(super) fn new(options: &SurfaceOptions, field: &'a mut Field<'f>) -> Self {
        let SurfaceOptions { lattice, seal, batch, .. } = *options;
        Self { field, lattice, seal, batch, evaluations: 0, places: Vec::new() }
    }

    pub(super) fn evaluations(&self) -> u64 {
        self.evaluations
    }

    /// Values of samples, in their order; all of them are numbers.
    pub(super) fn values(&mut self, samples: impl Iterator<Item = [u16; 3]> + Clone) -> Result<Vec<f32>> {
        let (mut values, mut rest) = (Vec::with_capacity(samples.size_hint().0), samples.clone());
        loop {
            self.places.clear();
            let lattice = self.lattice;
            self.places.extend(rest.by_ref().take(self.batch).map(|sample| lattice.place(sample)));
            if self.places.is_empty() {
                break;
            }
            let found = (self.field)(&self.places).map_err(ShapeError::Field)?;
            if found.len() != self.places.len() {
                let (expected, found) = (self.places.len(), found.len());
                return Err(ShapeError::Length { what: "values of the field", expected, found });
            }
            if let Some((place, &value)) = self.places.iter().zip(&found).find(|(_, value)| !value.is_finite()) {
                return Err(ShapeError::FieldValue { value, x: place.x, y: place.y, z: place.z });
            }
            self.evaluations += found.len() as u64;
            values.extend(found);
        }
        if self.seal {
            for (value, _) in values.iter_mut().zip(samples).filter(|(_, sample)| self.lattice.is_border(*sample)) {
                // Also of zero, which is inside.
                *value = if *value >= 0.0 { -value.max(f32::MIN_POSITIVE) } else { *value };
            }
        }
        Ok(values)
    }
}
