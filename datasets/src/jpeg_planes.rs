//! The second JPEG decoder, for the files that the usual one would garble; [`crate::jpeg_frame`] says which.

use image::{DynamicImage, RgbImage};
use jpeg_decoder::{ColorTransform, Decoder, Error};

use crate::error::{DatasetError, Result};
use crate::jpeg_frame::Colours;

/// Decodes to RGB what is known to be `width` x `height`, with at most `max_bytes` for the pixels.
pub(crate) fn decode(
    bytes: &[u8],
    name: &str,
    colours: Colours,
    (width, height): (u32, u32),
    max_bytes: u64,
) -> Result<DynamicImage> {
    let mut decoder = Decoder::new(bytes);
    decoder.set_max_decoding_buffer_size(usize::try_from(max_bytes).unwrap_or(usize::MAX));
    decoder.set_color_transform(match colours {
        Colours::YCbCr => ColorTransform::YCbCr,
        Colours::Rgb => ColorTransform::RGB,
        Colours::Cmyk => ColorTransform::CMYK,
        Colours::Ycck => ColorTransform::YCCK,
    });
    let pixels = decoder.decode().map_err(|error| failed(error, name))?;
    let rgb = match colours {
        Colours::YCbCr | Colours::Rgb => pixels,
        Colours::Cmyk | Colours::Ycck => pixels.as_chunks().0.iter().flat_map(without_profile).collect(),
    };
    RgbImage::from_raw(width, height, rgb).map(DynamicImage::from).ok_or_else(|| DatasetError::Damaged {
        name: name.to_owned(),
        format: "JPEG",
        reason: "its headers contradict each other".to_owned(),
    })
}

/// What light four inks leave, as if they were ideal filters.
fn without_profile(&[cyan, magenta, yellow, black]: &[u8; 4]) -> [u8; 3] {
    [cyan, magenta, yellow].map(|ink| {
        let light = u32::from(u8::MAX - ink) * u32::from(u8::MAX - black);
        u8::try_from((light + 127) / 255).unwrap_or(u8::MAX)
    })
}

/// Sorts the decoder's errors into ours.
fn failed(error: Error, name: &str) -> DatasetError {
    let (name, format) = (name.to_owned(), "JPEG");
    match error {
        Error::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            DatasetError::Truncated { name, format }
        }
        Error::Unsupported(feature) => {
            DatasetError::UnsupportedFeature { name, format, reason: format!("{feature:?}") }
        }
        Error::Format(reason) => DatasetError::Damaged { name, format, reason },
        other => DatasetError::Damaged { name, format, reason: other.to_string() },
    }
}
