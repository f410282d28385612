//! [`Pyramid`]: a picture with its halves, quarters and so on, so that a random window of any scale is cheap.

use rand::Rng;

use crate::error::Result;
use crate::picture::Picture;
use crate::raster::Raster;
use crate::resize::{Filter, resize};

/// How much larger than the model's size a window has to stay on the level it is cut from: the exact filter that
/// follows then removes what the plain means of the levels would let alias.
const SPARE: f64 = 1.5;

/// Levels of a picture, each half the one before; colours are multiplied by alpha where there is any.
pub(crate) struct Pyramid {
    levels: Vec<Raster>,
}

impl Pyramid {
    /// Builds the levels that windows of up to `scales[1]` times `size` make use of.
    pub(super) fn new(raster: Raster, size: u32, scales: [f64; 2]) -> Self {
        let short = raster.width.min(raster.height) as f64;
        let widest = (scales[1] * f64::from(size)).min(short);
        let mut levels = vec![multiplied(raster)];
        let mut factor = 2.0;
        while let Some(last) = levels.last()
            && widest / factor >= SPARE * f64::from(size)
        {
            levels.push(halved(last));
            factor *= 2.0;
        }
        Self { levels }
    }

    /// Draws a window, puts it on `background`, resizes it and writes `[3, size, size]` to `image`.
    pub(super) fn render(
        &self,
        size: u32,
        scales: [f64; 2],
        background: [u8; 3],
        rng: &mut impl Rng,
        image: &mut [f32],
    ) -> Result<()> {
        let short = self.levels.first().map_or(1, |full| full.width.min(full.height));
        let side = draw_side(short, size, scales, rng);
        let (level, factor) = self.level_for(side, size);
        // The window lies on the level's own pixel grid.
        let side = ((side as f64 / factor).round() as usize).clamp(1, level.width.min(level.height));
        let left = draw_offset(level.width - side, rng);
        let top = draw_offset(level.height - side, rng);
        let window = cut(level, left, top, side, background)?;
        let resized = if window.width() == size { window } else { resize(&window, size, size, Filter::Bicubic)? };
        for (channel, plane) in image.chunks_exact_mut(size as usize * size as usize).enumerate() {
            let bytes = resized.rgb().iter().skip(channel).step_by(3);
            plane.iter_mut().zip(bytes).for_each(|(value, &byte)| *value = f32::from(byte) / 255.0);
        }
        Ok(())
    }

    /// The smallest level on which a window of `side` pixels of the full picture is still large enough, and how many
    /// times smaller than the full picture it is.
    fn level_for(&self, side: usize, size: u32) -> (&Raster, f64) {
        let enough = |factor: f64| side as f64 / factor >= SPARE * f64::from(size);
        let mut factor = 1.0;
        let mut chosen = None;
        for level in &self.levels {
            if chosen.is_some() && !enough(factor) {
                break;
            }
            chosen = Some((level, factor));
            factor *= 2.0;
        }
        chosen.unwrap_or((&EMPTY, 1.0))
    }

    pub(super) fn bytes(&self) -> usize {
        self.levels.iter().map(|level| level.bytes.len()).sum()
    }
}

/// Stands where a pyramid had no level; it always has one.
static EMPTY: Raster = Raster { width: 1, height: 1, channels: 3, bytes: Vec::new() };

/// The side of the window in pixels of the full picture, whose shorter side is `short`.
fn draw_side(short: usize, size: u32, scales: [f64; 2], rng: &mut impl Rng) -> usize {
    let place = rng.random::<f64>();
    let size = size as usize;
    if short <= size {
        return short;
    }
    let widest = short as f64 / size as f64;
    let [low, high] = scales.map(|scale| scale.clamp(1.0, widest).ln());
    let side = (size as f64 * (low + (high - low) * place).exp()).round() as usize;
    side.clamp(size, short)
}

/// Evenly from `0..=spare`, the same on machines of any word size.
fn draw_offset(spare: usize, rng: &mut impl Rng) -> usize {
    rng.random_range(0..=spare as u64) as usize
}

/// The `side` x `side` window at (`left`, `top`) on `background`.
fn cut(level: &Raster, left: usize, top: usize, side: usize, background: [u8; 3]) -> Result<Picture> {
    let columns = left * level.channels..(left + side) * level.channels;
    let rows = level.bytes.chunks_exact(level.width * level.channels).skip(top).take(side);
    let rows = rows.filter_map(|row| row.get(columns.clone()));
    let mut rgb = Vec::with_capacity(side * side * 3);
    for row in rows {
        if level.channels == 3 {
            rgb.extend_from_slice(row);
        } else {
            let pixels = row.as_chunks::<4>().0.iter();
            rgb.extend(pixels.flat_map(|&[red, green, blue, alpha]| {
                let [under_red, under_green, under_blue] = background.map(|under| product(under, u8::MAX - alpha));
                [red.saturating_add(under_red), green.saturating_add(under_green), blue.saturating_add(under_blue)]
            }));
        }
    }
    // A window of a decoded image: its side is a `u32` by origin.
    let side = u32::try_from(side).unwrap_or(u32::MAX);
    Picture::new(side, side, rgb)
}

/// Colours times alpha, rounded; alpha stays.
fn multiplied(mut raster: Raster) -> Raster {
    if raster.channels == 4 {
        for pixel in raster.bytes.as_chunks_mut::<4>().0 {
            let [red, green, blue, alpha] = *pixel;
            *pixel = [product(red, alpha), product(green, alpha), product(blue, alpha), alpha];
        }
    }
    raster
}

/// `a * b / 255`, rounded to nearest.
fn product(a: u8, b: u8) -> u8 {
    u8::try_from((u32::from(a) * u32::from(b) + 127) / 255).unwrap_or(u8::MAX)
}

/// Means of 2x2 pixels, rounded; an odd last row or column is left out.
fn halved(raster: &Raster) -> Raster {
    let (width, height, channels) = (raster.width / 2, raster.height / 2, raster.channels);
    let mut bytes = Vec::with_capacity(width * height * channels);
    let stride = raster.width * channels;
    for rows in raster.bytes.chunks_exact(2 * stride).take(height) {
        let (upper, lower) = rows.split_at(stride);
        match channels {
            3 => halve_row::<3>(upper, lower, &mut bytes),
            _ => halve_row::<4>(upper, lower, &mut bytes),
        }
    }
    Raster { width, height, channels, bytes }
}

fn halve_row<const CHANNELS: usize>(upper: &[u8], lower: &[u8], bytes: &mut Vec<u8>) {
    let (upper, lower) = (upper.as_chunks::<CHANNELS>().0, lower.as_chunks::<CHANNELS>().0);
    for (upper, lower) in upper.as_chunks::<2>().0.iter().zip(lower.as_chunks::<2>().0) {
        let ([a, b], [c, d]) = (upper, lower);
        let mean = |channel: usize| {
            let sum = u16::from(a[channel]) + u16::from(b[channel]) + u16::from(c[channel]) + u16::from(d[channel]);
            // At most (4 * 255 + 2) / 4.
            ((sum + 2) / 4) as u8
        };
        bytes.extend_from_slice(&std::array::from_fn::<u8, CHANNELS, _>(mean));
    }
}
