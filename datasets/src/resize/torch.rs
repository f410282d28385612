//! The float resampler: `torch.nn.functional.interpolate(..., align_corners=False, antialias=True)`.

use std::borrow::Cow;

use rayon::prelude::*;

use super::check_request;
use super::filter::Filter;
use super::taps::Taps;
use crate::error::Result;
use crate::planar::Planar;

/// Rows that one thread takes at least.
const ROWS_PER_TASK: usize = 8;

/// Resizes planes of floats to `height` x `width` like PyTorch: no clamping, no rounding to 8 bits anywhere.
///
/// `[3, h, w]` in, `[3, height, width]` out. PyTorch offers `Bilinear` and `Bicubic` here; the other two filters
/// follow the same scheme. Weights are computed in `f64` and applied in `f32`, so the last bits may differ from
/// PyTorch (below 1e-5 for inputs in `[0, 1]`).
///
/// # Errors
/// As [`crate::resize`].
pub fn resize_planar_torch(planar: &Planar, height: u32, width: u32, filter: Filter) -> Result<Planar> {
    check_request((planar.width(), planar.height()), (width, height))?;
    let wide = match planar.width() == width {
        true => Cow::Borrowed(planar),
        false => Cow::Owned(along_rows(planar, width, filter)?),
    };
    match wide.height() == height {
        true => Ok(wide.into_owned()),
        false => along_columns(&wide, height, filter),
    }
}

/// The horizontal pass over all rows of all three planes.
fn along_rows(planar: &Planar, width: u32, filter: Filter) -> Result<Planar> {
    let taps = Taps::new(planar.width(), width, filter, |weight| weight as f32);
    let mut values = vec![0.0; width as usize * planar.height() as usize * 3];
    let sources = planar.values().par_chunks_exact(planar.width() as usize);
    let rows = values.par_chunks_exact_mut(width as usize).zip(sources);
    rows.with_min_len(ROWS_PER_TASK).for_each(|(target, source)| {
        for (value, (first, weights)) in target.iter_mut().zip(taps.iter()) {
            let window = source.get(first..).unwrap_or(&[]);
            *value = weights.iter().zip(window).map(|(weight, value)| weight * value).sum();
        }
    });
    Planar::new(values, planar.height(), width)
}

/// The vertical pass, plane by plane.
fn along_columns(planar: &Planar, height: u32, filter: Filter) -> Result<Planar> {
    let taps = Taps::new(planar.height(), height, filter, |weight| weight as f32);
    let (stride, rows) = (planar.width() as usize, height as usize);
    let mut values = vec![0.0; stride * rows * 3];
    let source_rows = planar.height() as usize;
    values.par_chunks_exact_mut(stride).enumerate().with_min_len(ROWS_PER_TASK).for_each(|(index, target)| {
        let (plane, row) = (index / rows, index % rows);
        let (first, weights) = taps.window(row);
        let sources = planar.values().chunks_exact(stride).skip(plane * source_rows + first);
        for (weight, source) in weights.iter().zip(sources) {
            for (sum, value) in target.iter_mut().zip(source) {
                *sum += weight * value;
            }
        }
    });
    Planar::new(values, height, planar.width())
}
