//! [`Fitted`]: a picture brought to the model's size, its transparency kept.

use crate::error::Result;
use crate::picture::Picture;
use crate::planar::Planar;
use crate::preprocess::Preprocess;
use crate::raster::Raster;
use crate::resize::{Filter, resize_planar_torch};
use crate::transform::{centred, shorter_edge_size};

/// Planes red, green, blue and, where something is transparent, alpha; `size * size` values each.
///
/// Colours are multiplied by alpha: then resizing and compositing may change places, and the background is free to
/// differ from sample to sample. 16 bits (65535 is 1.0) keep the means of 8-bit pixels to a thousandth of a level.
pub(crate) struct Fitted {
    size: u32,
    planes: Vec<u16>,
}

impl Fitted {
    /// See [`super::Crop::Fit`].
    pub(super) fn new(raster: &Raster, size: u32) -> Result<Self> {
        let side = size as usize;
        let planes = if raster.width.min(raster.height).is_multiple_of(side) {
            block_means(raster, side)
        } else if raster.channels == 3 {
            opaque(raster, size)?
        } else {
            transparent(raster, size)?
        };
        Ok(Self { size, planes })
    }

    /// Puts the picture on `background` and writes `[3, size, size]` to `image`.
    pub(super) fn render(&self, background: [u8; 3], image: &mut [f32]) {
        let plane = self.size as usize * self.size as usize;
        let (colours, alpha) = self.planes.split_at_checked(3 * plane).unwrap_or((&self.planes, &[]));
        for ((target, colour), under) in image.chunks_exact_mut(plane).zip(colours.chunks_exact(plane)).zip(background)
        {
            for (value, &colour) in target.iter_mut().zip(colour) {
                *value = f32::from(colour) / 65535.0;
            }
            let under = f32::from(under) / 255.0;
            for (value, &alpha) in target.iter_mut().zip(alpha) {
                *value += under * (f32::from(u16::MAX - alpha) / 65535.0);
                *value = value.min(1.0);
            }
        }
    }

    /// The picture on `background` in 8 bits.
    pub(super) fn picture(&self, background: [u8; 3]) -> Result<Picture> {
        let mut image = vec![0.0; 3 * self.size as usize * self.size as usize];
        self.render(background, &mut image);
        Picture::from_planar_f32(&image, self.size, self.size)
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.planes.as_slice())
    }
}

/// The middle square, whose side is a multiple of `side`, each block of pixels averaged exactly.
fn block_means(raster: &Raster, side: usize) -> Vec<u16> {
    let (short, channels) = (raster.width.min(raster.height), raster.channels);
    let block = short / side;
    let middle = |length: usize| spare_before(length, short);
    let (left, top) = (middle(raster.width), middle(raster.height));
    let rows = raster.bytes.chunks_exact(raster.width * channels).skip(top).take(short);

    let pixels = (block * block) as u64;
    let plane = side * side;
    let mut planes = vec![0; channels * plane];
    let mut sums = vec![0u64; side * channels];
    for (y, row) in rows.enumerate() {
        let row = row.get(left * channels..(left + short) * channels).unwrap_or(&[]);
        for (sum, pixels) in sums.chunks_exact_mut(channels).zip(row.chunks_exact(block * channels)) {
            pixels.chunks_exact(channels).for_each(|pixel| add_pixel(sum, pixel));
        }
        if (y + 1) % block == 0 {
            let start = y / block * side;
            for (channel, target) in planes.chunks_exact_mut(plane).enumerate() {
                let values = sums.iter().skip(channel).step_by(channels);
                // Colours of transparent pictures are sums of products of two bytes.
                let full = if channels == 4 && channel < 3 { 255 * 255 } else { 255 };
                for (value, &sum) in target.iter_mut().skip(start).take(side).zip(values) {
                    *value = share(sum, pixels * full);
                }
            }
            sums.fill(0);
        }
    }
    planes
}

/// Adds a pixel's values; colours times alpha where there is alpha.
fn add_pixel(sum: &mut [u64], pixel: &[u8]) {
    match (sum, pixel) {
        ([r, g, b, a], &[red, green, blue, alpha]) => {
            *r += u64::from(red) * u64::from(alpha);
            *g += u64::from(green) * u64::from(alpha);
            *b += u64::from(blue) * u64::from(alpha);
            *a += u64::from(alpha);
        }
        (sum, pixel) => sum.iter_mut().zip(pixel).for_each(|(sum, &value)| *sum += u64::from(value)),
    }
}

/// `sum / full` as a share of 65535, rounded; the quotient is at most 1.
///
/// The products fit: a block has at most as many pixels as a picture that is trained on, 2^26, and each adds at most
/// 2^16 to the sum.
fn share(sum: u64, full: u64) -> u16 {
    u16::try_from((sum * 65535 + full / 2) / full).unwrap_or(u16::MAX)
}

/// The crate's usual preparation, 8 bits throughout.
fn opaque(raster: &Raster, size: u32) -> Result<Vec<u16>> {
    let picture = Picture::new(as_side(raster.width), as_side(raster.height), raster.bytes.clone())?;
    let fitted = Preprocess::square(size, Filter::Bicubic).apply(&picture)?;
    let plane = |channel| fitted.rgb().iter().skip(channel).step_by(3).map(|&byte| u16::from(byte) * 257);
    Ok((0..3).flat_map(plane).collect())
}

/// The same in floats, on colours multiplied by alpha and on alpha itself.
fn transparent(raster: &Raster, size: u32) -> Result<Vec<u16>> {
    let (width, height) = (as_side(raster.width), as_side(raster.height));
    let (new_width, new_height) = shorter_edge_size(width, height, size)?;
    let pixels = || raster.bytes.as_chunks::<4>().0.iter();
    let colour = |channel: usize| {
        pixels().map(move |pixel| {
            let value = pixel.get(channel).copied().unwrap_or(0);
            f32::from(value) * f32::from(pixel[3]) / (255.0 * 255.0)
        })
    };
    let colours = Planar::new((0..3).flat_map(colour).collect(), height, width)?;
    // Three equal planes, since that is what the resampler takes; the first is used.
    let alpha = (0..3).flat_map(|_| pixels().map(|pixel| f32::from(pixel[3]) / 255.0)).collect();
    let alpha = Planar::new(alpha, height, width)?;

    let side = size as usize;
    let (left, top) = (centred(new_width, size) as usize, centred(new_height, size) as usize);
    let mut planes = Vec::with_capacity(4 * side * side);
    let stride = new_width as usize;
    for (planar, count) in [(colours, 3), (alpha, 1)] {
        let resized = resize_planar_torch(&planar, new_height, new_width, Filter::Bicubic)?;
        for plane in resized.values().chunks_exact(stride * new_height as usize).take(count) {
            for row in plane.chunks_exact(stride).skip(top).take(side) {
                let row = row.iter().skip(left).take(side);
                // Clamped, so the cast only cuts the fraction.
                planes.extend(row.map(|value| (value.clamp(0.0, 1.0) * 65535.0).round() as u16));
            }
        }
    }
    Ok(planes)
}

/// Sides of decoded images are `u32` by their origin.
fn as_side(side: usize) -> u32 {
    u32::try_from(side).unwrap_or(u32::MAX)
}

/// Where a centred window of `window` begins on a side of `length`.
fn spare_before(length: usize, window: usize) -> usize {
    centred(as_side(length), as_side(window)) as usize
}
