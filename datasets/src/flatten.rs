//! Any decoded image to 8-bit RGB without transparency, in exact integer arithmetic.

use image::{DynamicImage, GrayAlphaImage, GrayImage, RgbImage, RgbaImage};

/// Brings `decoded` to 8 bits and composites it on `background`; the size stays.
pub(crate) fn flatten(decoded: DynamicImage, background: [u8; 3]) -> RgbImage {
    let (width, height) = (decoded.width(), decoded.height());
    let narrow = narrow_channels(decoded);
    if !narrow.color().has_alpha() {
        return narrow.into_rgb8();
    }
    let rgba = narrow.into_rgba8();
    let [under_red, under_green, under_blue] = background;
    RgbImage::from_fn(width, height, |x, y| {
        let [red, green, blue, alpha] = rgba.get_pixel(x, y).0;
        image::Rgb([over(red, under_red, alpha), over(green, under_green, alpha), over(blue, under_blue, alpha)])
    })
}

/// 16-bit images to 8 bits with our own rounding; others pass unchanged.
pub(crate) fn narrow_channels(decoded: DynamicImage) -> DynamicImage {
    let (width, height) = (decoded.width(), decoded.height());
    let all = |values: Vec<u16>| values.into_iter().map(narrow).collect::<Vec<u8>>();
    let image = match decoded {
        DynamicImage::ImageLuma16(it) => GrayImage::from_raw(width, height, all(it.into_raw())).map(DynamicImage::from),
        DynamicImage::ImageLumaA16(it) => {
            GrayAlphaImage::from_raw(width, height, all(it.into_raw())).map(DynamicImage::from)
        }
        DynamicImage::ImageRgb16(it) => RgbImage::from_raw(width, height, all(it.into_raw())).map(DynamicImage::from),
        DynamicImage::ImageRgba16(it) => RgbaImage::from_raw(width, height, all(it.into_raw())).map(DynamicImage::from),
        other => Some(other),
    };
    // `None` cannot happen: each buffer comes from an image of this very size.
    image.unwrap_or_default()
}

/// 16 bits to 8, rounded to nearest; 257 is odd, so there are no ties.
fn narrow(value: u16) -> u8 {
    u8::try_from((u32::from(value) + 128) / 257).unwrap_or(u8::MAX)
}

/// One channel composited, rounded to nearest; 255 is odd, so there are no ties.
fn over(colour: u8, background: u8, alpha: u8) -> u8 {
    let alpha = u32::from(alpha);
    let sum = u32::from(colour) * alpha + u32::from(background) * (255 - alpha);
    u8::try_from((sum + 127) / 255).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_bits_become_the_nearest_of_eight() {
        for value in 0..=u16::MAX {
            let exact = f64::from(value) / 257.0;
            assert_eq!(f64::from(narrow(value)), exact.round(), "{value}");
        }
    }

    #[test]
    fn compositing_is_the_rounded_exact_value() {
        for colour in 0..=u8::MAX {
            for alpha in 0..=u8::MAX {
                let (c, a) = (f64::from(colour), f64::from(alpha));
                let exact = (c * a + 77.0 * (255.0 - a)) / 255.0;
                assert_eq!(f64::from(over(colour, 77, alpha)), exact.round(), "{colour} {alpha}");
            }
        }
    }
}
