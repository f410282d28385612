//! [`Raster`]: a decoded image that keeps its transparency.

use image::DynamicImage;

/// Rows of pixels with three channels (opaque) or four (straight alpha last), 8 bits each; at least 1x1.
pub(crate) struct Raster {
    pub width: usize,
    pub height: usize,
    /// 3 or 4.
    pub channels: usize,
    /// `[height, width, channels]` flattened.
    pub bytes: Vec<u8>,
}

impl Raster {
    /// Takes an image of 8 bits per channel. Alpha that is opaque everywhere is dropped.
    pub(crate) fn from_decoded(decoded: DynamicImage) -> Self {
        let (width, height) = (decoded.width() as usize, decoded.height() as usize);
        if !decoded.color().has_alpha() {
            return Self { width, height, channels: 3, bytes: decoded.into_rgb8().into_raw() };
        }
        let rgba = decoded.into_rgba8();
        if rgba.pixels().all(|pixel| matches!(pixel.0, [.., u8::MAX])) {
            return Self { width, height, channels: 3, bytes: DynamicImage::from(rgba).into_rgb8().into_raw() };
        }
        Self { width, height, channels: 4, bytes: rgba.into_raw() }
    }
}
