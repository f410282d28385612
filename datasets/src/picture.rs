//! [`Picture`]: the 8-bit sRGB picture that every function of this crate takes and gives.

use crate::error::{DatasetError, Result};

/// An 8-bit sRGB picture: at least 1x1 pixels, rows from top to bottom, three bytes (red, green, blue) per pixel.
///
/// The bytes are gamma-encoded values as stored in files; nothing in this crate converts to linear light.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Picture {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

impl std::fmt::Debug for Picture {
    /// Only the size: megabytes of numbers help nobody in a failed assertion.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({}x{})", self.width, self.height)
    }
}

impl Picture {
    /// Wraps `rgb`, `[height * width * 3]` bytes, pixel by pixel in rows.
    ///
    /// # Errors
    /// [`DatasetError::Zero`] for an empty side, [`DatasetError::WrongLength`] if the length does not fit.
    pub fn new(width: u32, height: u32, rgb: Vec<u8>) -> Result<Self> {
        check_length(width, height, rgb.len())?;
        Ok(Self { width, height, rgb })
    }

    /// A picture of one colour.
    ///
    /// # Errors
    /// [`DatasetError::Zero`] for an empty side, [`DatasetError::TooLarge`] over [`crate::MAX_PIXELS`] pixels.
    pub fn filled(width: u32, height: u32, colour: [u8; 3]) -> Result<Self> {
        let pixels = checked_pixels(width, height, "a filled picture")?;
        Ok(Self { width, height, rgb: colour.repeat(pixels) })
    }

    /// For callers inside the crate that computed `rgb` from `width` and `height` themselves.
    pub(crate) fn from_parts(width: u32, height: u32, rgb: Vec<u8>) -> Self {
        debug_assert_eq!(rgb.len() as u64, u64::from(width) * u64::from(height) * 3);
        Self { width, height, rgb }
    }

    /// Width in pixels, at least 1.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels, at least 1.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// All bytes, `[height, width, 3]` flattened.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// Gives the bytes away, `[height, width, 3]` flattened.
    pub fn into_rgb(self) -> Vec<u8> {
        self.rgb
    }

    /// The colour at column `x`, row `y`; `None` outside the picture.
    pub fn pixel(&self, x: u32, y: u32) -> Option<[u8; 3]> {
        if x >= self.width || y >= self.height {
            return None;
        }
        let start = (y as usize * self.width as usize + x as usize) * 3;
        self.rgb.get(start..start + 3)?.try_into().ok()
    }

    /// Bytes in one row.
    pub(crate) fn stride(&self) -> usize {
        self.width as usize * 3
    }

    /// The planes red, green, blue one after the other, `[3, height, width]` flattened, each value `byte / 255` in `[0, 1]`.
    pub fn to_planar_f32(&self) -> Vec<f32> {
        let mut planar = Vec::with_capacity(self.rgb.len());
        for channel in 0..3 {
            planar.extend(self.rgb.iter().skip(channel).step_by(3).map(|&byte| f32::from(byte) / 255.0));
        }
        planar
    }

    /// The inverse of [`Picture::to_planar_f32`]: `values` is `[3, height, width]` flattened.
    ///
    /// Values are clamped to `[0, 1]`, multiplied by 255 and rounded to the nearest integer (halves away from zero);
    /// NaN becomes 0.
    ///
    /// # Errors
    /// [`DatasetError::Zero`] for an empty side, [`DatasetError::WrongLength`] if the length does not fit.
    pub fn from_planar_f32(values: &[f32], height: u32, width: u32) -> Result<Self> {
        check_length(width, height, values.len())?;
        let mut rgb = vec![0; values.len()];
        for (channel, plane) in values.chunks_exact(values.len() / 3).enumerate() {
            for (byte, &value) in rgb.iter_mut().skip(channel).step_by(3).zip(plane) {
                *byte = to_byte(value);
            }
        }
        Ok(Self { width, height, rgb })
    }
}

/// Peak signal-to-noise ratio in dB over all bytes of two pictures; infinite for equal pictures.
///
/// `10 * log10(255^2 / mean squared difference)`, the mean taken over the three channels together.
///
/// # Errors
/// [`DatasetError::SizeMismatch`] if the pictures differ in size.
pub fn psnr(a: &Picture, b: &Picture) -> Result<f64> {
    if (a.width, a.height) != (b.width, b.height) {
        return Err(DatasetError::SizeMismatch {
            expected_width: a.width,
            expected_height: a.height,
            width: b.width,
            height: b.height,
        });
    }
    let squares: u64 = a.rgb.iter().zip(&b.rgb).map(|(&a, &b)| u64::from(a.abs_diff(b)).pow(2)).sum();
    if squares == 0 {
        return Ok(f64::INFINITY);
    }
    let mean = squares as f64 / a.rgb.len() as f64;
    Ok(10.0 * (255.0 * 255.0 / mean).log10())
}

/// `[0, 1]` to a byte; the cast saturates and maps NaN to 0, so no input can go wrong.
fn to_byte(value: f32) -> u8 {
    (value.clamp(0.0, 1.0) * 255.0).round() as u8
}

/// Refuses empty sides and lengths other than `width * height * 3`.
pub(crate) fn check_length(width: u32, height: u32, found: usize) -> Result<()> {
    check_sides(width, height)?;
    // Three times the product of two u32 may exceed u64; such a length cannot be found in memory.
    let expected = (u64::from(width) * u64::from(height)).saturating_mul(3);
    let found = found as u64;
    if expected == found { Ok(()) } else { Err(DatasetError::WrongLength { width, height, expected, found }) }
}

/// Refuses empty sides.
pub(crate) fn check_sides(width: u32, height: u32) -> Result<()> {
    match (width, height) {
        (0, _) => Err(DatasetError::Zero { what: "a width" }),
        (_, 0) => Err(DatasetError::Zero { what: "a height" }),
        _ => Ok(()),
    }
}

/// Refuses empty sides and more than [`crate::MAX_PIXELS`] pixels; else the number of pixels.
pub(crate) fn checked_pixels(width: u32, height: u32, what: &str) -> Result<usize> {
    check_sides(width, height)?;
    let pixels = u64::from(width) * u64::from(height);
    let too_large = || DatasetError::TooLarge {
        what: what.to_owned(),
        width: width.into(),
        height: height.into(),
        limit: crate::MAX_PIXELS,
    };
    if pixels > crate::MAX_PIXELS {
        return Err(too_large());
    }
    usize::try_from(pixels).map_err(|_| too_large())
}
