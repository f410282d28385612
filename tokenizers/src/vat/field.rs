//! The occupancy field of a decoded shape.

use burn::tensor::{Tensor, TensorData};
use tessera_layers::Trace;

use super::Occupancy;
use crate::TokenizerError;

/// Bytes that the values of the points of one pass may take.
const PASS: usize = 64 << 20;

/// Points of an axis that a grid may have: its logits then take 4 GiB.
const MOST: usize = 1024;

/// A function from points in the box `-bounds..=bounds` to logits, for each item of a batch; inside is a logit from 0 on.
///
/// However many points are asked for, they go through in passes of at most [`OccupancyField::chunk`] points, so that memory stays
/// bounded beside the points and logits themselves.
#[derive(Debug, Clone)]
pub struct OccupancyField {
    planes: Tensor<5>,
    occupancy: Occupancy,
    chunk: usize,
}

impl OccupancyField {
    /// The field of planes `[batch, 3, channels, rows, columns]`.
    pub fn new(planes: Tensor<5>, occupancy: Occupancy) -> Self {
        let [_, _, channels, ..] = planes.dims();
        let bytes = 4 * occupancy.width(channels);
        let chunk = (PASS / bytes.max(1)).clamp(64, 1 << 18);
        Self { planes, occupancy, chunk }
    }

    /// The same field in passes of so many points (at least one).
    pub fn with_chunk(self, points: usize) -> Self {
        Self { chunk: points.max(1), ..self }
    }

    /// Points of a pass.
    pub fn chunk(&self) -> usize {
        self.chunk
    }

    /// Items.
    pub fn items(&self) -> usize {
        self.planes.dims()[0]
    }

    /// Half the side of the box.
    pub fn bounds(&self) -> f64 {
        self.occupancy.bounds()
    }

    /// The planes `[batch, 3, channels, rows, columns]`.
    pub fn planes(&self) -> &Tensor<5> {
        &self.planes
    }

    /// Logits `[n]` of points `[n, 3]` of item `item`, on the device. Points outside the box are taken to its border.
    ///
    /// # Errors
    /// [`TokenizerError::Input`] for an item that does not exist, or points of another shape.
    pub fn logits(&self, item: usize, points: Tensor<2>) -> Result<Tensor<1>, TokenizerError> {
        let planes = self.item(item)?;
        let [count, coordinates] = points.dims();
        if coordinates != 3 {
            let (expected, found) = ("[n, 3]".to_owned(), format!("{:?}", points.dims()));
            return Err(TokenizerError::Input { what: "points", expected, found });
        }
        let points = points.to_device(&self.planes.device());
        let pass = |start: usize| {
            let part = points.clone().narrow(0, start, self.chunk.min(count - start)).unsqueeze::<3>();
            self.occupancy.forward(planes.clone(), part, &mut Trace::none()).flatten::<1>(0, 1)
        };
        let parts: Vec<Tensor<1>> = (0..count).step_by(self.chunk).map(pass).collect();
        Ok(match parts.is_empty() {
            true => Tensor::zeros([0], &self.planes.device()),
            false => Tensor::cat(parts, 0),
        })
    }

    /// Logits of points of item `item`, point for point. Points outside the box are taken to its border.
    ///
    /// # Errors
    /// [`TokenizerError`] for an item that does not exist, or if a result cannot be read.
    pub fn evaluate(&self, item: usize, points: &[[f32; 3]]) -> Result<Vec<f32>, TokenizerError> {
        let mut logits = Vec::with_capacity(points.len());
        for part in points.chunks(self.chunk) {
            logits.extend(self.pass(item, part.as_flattened().to_vec())?);
        }
        Ok(logits)
    }

    /// Logits of item `item` on a grid of `side` points along each axis from -bounds to bounds; those of x, y, z are at
    /// `(x side + y) side + z`.
    ///
    /// # Errors
    /// [`TokenizerError`] for an item that does not exist, a grid of no or more than 1024 points along an axis, or if a result cannot
    /// be read.
    pub fn grid(&self, item: usize, side: usize) -> Result<Vec<f32>, TokenizerError> {
        let mut logits = Vec::new();
        self.for_each_pass(item, side, |part| logits.extend_from_slice(part))?;
        Ok(logits)
    }

    /// Hands the logits of [`OccupancyField::grid`] to `take` in their order, a pass at a time.
    ///
    /// # Errors
    /// As [`OccupancyField::grid`].
    pub fn for_each_pass(&self, item: usize, side: usize, mut take: impl FnMut(&[f32])) -> Result<(), TokenizerError> {
        if !(1..=MOST).contains(&side) {
            let (expected, found) = (format!("1 to {MOST} points along each axis"), side.to_string());
            return Err(TokenizerError::Input { what: "grid", expected, found });
        }
        let bounds = self.bounds();
        let place = |index: usize| match side {
            1 => -bounds as f32,
            _ => (2.0 * bounds * index as f64 / (side - 1) as f64 - bounds) as f32,
        };
        let places: Vec<f32> = (0..side).map(place).collect();
        let at = |index: usize| places.get(index % side).copied().unwrap_or(0.0);
        let points = side * side * side;
        for start in (0..points).step_by(self.chunk) {
            let part = start..(start + self.chunk).min(points);
            let part = part.flat_map(|index| [at(index / side / side), at(index / side), at(index)]);
            take(&self.pass(item, part.collect())?);
        }
        Ok(())
    }

    /// Logits of the points `[n, 3]` of one pass.
    fn pass(&self, item: usize, points: Vec<f32>) -> Result<Vec<f32>, TokenizerError> {
        let (planes, count) = (self.item(item)?, points.len() / 3);
        let points = Tensor::<3>::from_data(TensorData::new(points, [1, count, 3]), &self.planes.device());
        let logits = self.occupancy.forward(planes, points, &mut Trace::none());
        let data = logits.try_into_data().map_err(|error| TokenizerError::of_device(&error))?;
        Ok(data.iter::<f32>().collect())
    }

    fn item(&self, item: usize) -> Result<Tensor<5>, TokenizerError> {
        match item < self.items() {
            true => Ok(self.planes.clone().narrow(0, item, 1)),
            false => Err(TokenizerError::Input {
                what: "item",
                expected: format!("one of 0..{}", self.items()),
                found: item.to_string(),
            }),
        }
    }
}
