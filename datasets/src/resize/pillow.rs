//! The 8-bit resampler: Pillow's fixed-point scheme, byte for byte.
//!
//! Weights are rounded to 22 fraction bits (halves away from zero); each pass sums in `i32` on top of one half,
//! shifts right by 22 and clamps to a byte.

use std::borrow::Cow;

use rayon::prelude::*;

use super::check_request;
use super::filter::Filter;
use super::taps::Taps;
use crate::error::Result;
use crate::picture::Picture;

const FRACTION_BITS: u32 = 22;
const HALF: i32 = 1 << (FRACTION_BITS - 1);
/// Rows that one thread takes at least, so that small pictures are not torn apart.
const ROWS_PER_TASK: usize = 8;

/// Resizes to exactly `width` x `height`, with the result of Pillow's `Image.resize` to the bit.
///
/// Aspect ratio is not kept; see [`crate::resize_shorter_edge`]. A side that stays the same is not filtered.
///
/// # Errors
/// [`crate::DatasetError::Zero`] for a zero target, [`crate::DatasetError::TooLarge`] if the result, or the picture between
/// the two passes (new width, old height), has more than [`crate::MAX_PIXELS`] pixels, and
/// [`crate::DatasetError::SideTooLong`] for a changed side over [`crate::MAX_RESIZE_SIDE`].
pub fn resize(picture: &Picture, width: u32, height: u32, filter: Filter) -> Result<Picture> {
    check_request((picture.width(), picture.height()), (width, height))?;
    let wide = match picture.width() == width {
        true => Cow::Borrowed(picture),
        false => Cow::Owned(along_rows(picture, width, filter)),
    };
    Ok(match wide.height() == height {
        true => wide.into_owned(),
        false => along_columns(&wide, height, filter),
    })
}

/// The horizontal pass.
fn along_rows(picture: &Picture, width: u32, filter: Filter) -> Picture {
    let taps = Taps::new(picture.width(), width, filter, fixed_point);
    let stride = width as usize * 3;
    let mut rgb = vec![0; stride * picture.height() as usize];
    let rows = rgb.par_chunks_exact_mut(stride).zip(picture.rgb().par_chunks_exact(picture.stride()));
    rows.with_min_len(ROWS_PER_TASK).for_each(|(target, source)| {
        for (pixel, (first, weights)) in target.chunks_exact_mut(3).zip(taps.iter()) {
            let [mut red, mut green, mut blue] = [HALF; 3];
            let window = source.get(first * 3..).unwrap_or(&[]);
            for (&weight, colour) in weights.iter().zip(window.as_chunks::<3>().0) {
                red += weight * i32::from(colour[0]);
                green += weight * i32::from(colour[1]);
                blue += weight * i32::from(colour[2]);
            }
            pixel.copy_from_slice(&[to_byte(red), to_byte(green), to_byte(blue)]);
        }
    });
    Picture::from_parts(width, picture.height(), rgb)
}

/// The vertical pass: whole rows are added up, which the compiler turns into vector code.
fn along_columns(picture: &Picture, height: u32, filter: Filter) -> Picture {
    let taps = Taps::new(picture.height(), height, filter, fixed_point);
    let stride = picture.stride();
    let mut rgb = vec![0; stride * height as usize];
    rgb.par_chunks_exact_mut(stride).enumerate().with_min_len(ROWS_PER_TASK).for_each_init(
        || vec![HALF; stride],
        |sums, (row, target)| {
            let (first, weights) = taps.window(row);
            sums.fill(HALF);
            for (&weight, source) in weights.iter().zip(picture.rgb().chunks_exact(stride).skip(first)) {
                for (sum, &byte) in sums.iter_mut().zip(source) {
                    *sum += weight * i32::from(byte);
                }
            }
            for (byte, &sum) in target.iter_mut().zip(&*sums) {
                *byte = to_byte(sum);
            }
        },
    );
    Picture::from_parts(picture.width(), height, rgb)
}

/// A weight with 22 fraction bits: half a unit is added away from zero, then the cast cuts towards zero, as in C.
fn fixed_point(weight: f64) -> i32 {
    let scaled = weight * f64::from(1 << FRACTION_BITS);
    (scaled + 0.5f64.copysign(weight)) as i32
}

/// Drops the fraction bits and clamps to a byte.
fn to_byte(sum: i32) -> u8 {
    (sum >> FRACTION_BITS).clamp(0, 255) as u8
}
