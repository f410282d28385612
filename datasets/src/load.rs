//! From a file or bytes to a [`Picture`].
//!
//! The order of the steps: recognise the format by content, check the size, decode, turn according to the Exif
//! orientation, bring to 8 bits, put transparent pixels on the background.

use std::fs::File;
use std::io::{Cursor, Read as _};
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageReader};

use crate::error::{DatasetError, Result};
use crate::flatten::{flatten, narrow_channels};
use crate::jpeg_frame::Route;
use crate::jpeg_planes;
use crate::jpeg_scan::{self, JpegFacts};
use crate::picture::Picture;
use crate::raster::Raster;
use crate::sniff::{Codec, Content, HEAD, sniff};

/// What to do with a JPEG that stores four inks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cmyk {
    /// Refuse it by name ([`DatasetError::CmykJpeg`]): without its printing profile the colours are a guess.
    #[default]
    Refuse,
    /// Take `ink * black / 255` of the stored (inverted, as Adobe writes them) values, the guess that Pillow's
    /// `convert("RGB")` makes. Good enough for the few such files in photo collections.
    Approximate,
}

/// How to load; `LoadOptions::default()` suits photographs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadOptions {
    /// The sRGB colour behind transparent pixels; white by default.
    pub background: [u8; 3],
    /// The most pixels a picture may have; [`crate::MAX_PIXELS`] by default. It is checked before decoding.
    pub max_pixels: u64,
    /// What to do with CMYK JPEG files; refused by default.
    pub cmyk: Cmyk,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { background: [255; 3], max_pixels: crate::MAX_PIXELS, cmyk: Cmyk::default() }
    }
}

impl LoadOptions {
    /// Bytes of working memory (and of file) granted: 16-bit RGBA is the widest pixel, plus room for metadata.
    fn max_bytes(&self) -> u64 {
        self.max_pixels.saturating_mul(8).saturating_add(64 << 20)
    }
}

/// Loads the picture in the file at `path`; see [`decode_picture`] for what happens to its pixels.
///
/// # Errors
/// [`DatasetError::NotFound`], [`DatasetError::IsFolder`], [`DatasetError::PermissionDenied`] and
/// [`DatasetError::Read`] about the file, else those of [`decode_picture`].
pub fn load_picture(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Picture> {
    let path = path.as_ref();
    let reading = |error| DatasetError::reading(path, error);
    let name = path.display().to_string();
    let mut file = File::open(path).map_err(reading)?;
    if file.metadata().map_err(reading)?.is_dir() {
        return Err(DatasetError::IsFolder { path: path.to_path_buf() });
    }
    // Judge the head first: a wrong file of many gigabytes is refused without being read.
    let mut bytes = Vec::new();
    file.by_ref().take(HEAD as u64).read_to_end(&mut bytes).map_err(reading)?;
    known_codec(&bytes, &name)?;
    file.take(options.max_bytes()).read_to_end(&mut bytes).map_err(reading)?;
    decode_picture(&bytes, &name, options)
}

/// Decodes PNG, JPEG or WebP `bytes`; `name` is only used in error messages.
///
/// - Greyscale and palette images become RGB.
/// - 16-bit values become `round(value / 257)`, so that 65535 gives 255 and the error is at most half a level.
/// - Alpha is composited on [`LoadOptions::background`] in the stored gamma values (as browsers and Pillow's
///   `alpha_composite` do, not in linear light): `round((colour * alpha + background * (255 - alpha)) / 255)`,
///   computed in integers, so the rounding is exact. 16-bit alpha is brought to 8 bits first.
/// - The Exif orientation is applied, so width and height are those a viewer shows.
///
/// # Errors
/// [`DatasetError::EmptyFile`], [`DatasetError::NotAnImage`], [`DatasetError::UnsupportedFormat`],
/// [`DatasetError::UnsupportedFeature`], [`DatasetError::CmykJpeg`], [`DatasetError::JpegLayout`],
/// [`DatasetError::TooLarge`], [`DatasetError::Truncated`] or [`DatasetError::Damaged`].
pub fn decode_picture(bytes: &[u8], name: &str, options: &LoadOptions) -> Result<Picture> {
    let upright = flatten(decode_upright(bytes, name, options)?, options.background);
    Picture::new(upright.width(), upright.height(), upright.into_raw())
}

/// Decodes as [`decode_picture`] does, and keeps transparency.
pub(crate) fn decode_raster(bytes: &[u8], name: &str, options: &LoadOptions) -> Result<Raster> {
    Ok(Raster::from_decoded(narrow_channels(decode_upright(bytes, name, options)?)))
}

/// Recognises, checks, decodes and turns.
fn decode_upright(bytes: &[u8], name: &str, options: &LoadOptions) -> Result<DynamicImage> {
    let codec = known_codec(bytes, name)?;
    let facts = check_container(codec, bytes, name, options)?;
    let failed = |error| decoding_error(error, codec, name, options);

    let mut limits = image::Limits::no_limits();
    limits.max_alloc = Some(options.max_bytes());
    let mut reader = ImageReader::with_format(Cursor::new(bytes), codec.format());
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(failed)?;
    let size = decoder.dimensions();
    check_size(size, options, name)?;
    // Broken metadata is no reason to lose the picture: it then counts as upright.
    let orientation = decoder.orientation().unwrap_or(image::metadata::Orientation::NoTransforms);

    let mut upright = match facts.route {
        Route::Planes => jpeg_planes::decode(bytes, name, facts.colours, size, options.max_bytes())?,
        Route::Usual | Route::Refuse => DynamicImage::from_decoder(decoder).map_err(failed)?,
    };
    upright.apply_orientation(orientation);
    Ok(upright)
}

/// The codec for these bytes, or the reason why there is none.
fn known_codec(bytes: &[u8], name: &str) -> Result<Codec> {
    let name = || name.to_owned();
    if bytes.is_empty() {
        return Err(DatasetError::EmptyFile { name: name() });
    }
    match sniff(bytes) {
        Content::Known(codec) => Ok(codec),
        Content::OtherImage(format) => Err(DatasetError::UnsupportedFormat { name: name(), format }),
        Content::NoImage(found) => Err(DatasetError::NotAnImage { name: name(), found }),
    }
}

/// Finds what the decoders would pass over: cut-off JPEG and WebP files, CMYK, rare layouts of JPEG.
fn check_container(codec: Codec, bytes: &[u8], name: &str, options: &LoadOptions) -> Result<JpegFacts> {
    let truncated = || DatasetError::Truncated { name: name.to_owned(), format: codec.name() };
    match codec {
        Codec::Jpeg => {
            let facts = jpeg_scan::scan(bytes);
            if facts.components == Some(4) && options.cmyk == Cmyk::Refuse {
                return Err(DatasetError::CmykJpeg { name: name.to_owned() });
            }
            if !facts.complete {
                return Err(truncated());
            }
            if facts.route == Route::Refuse {
                return Err(DatasetError::JpegLayout { name: name.to_owned() });
            }
            return Ok(facts);
        }
        Codec::WebP => {
            // RIFF states the length of what follows its first eight bytes.
            let stated = bytes.get(4..8).and_then(|field| field.try_into().ok()).map_or(0, u32::from_le_bytes);
            if u64::from(stated) + 8 > bytes.len() as u64 {
                return Err(truncated());
            }
        }
        // The PNG decoder refuses enormous sizes with a message about memory; the header says it better.
        Codec::Png => png_size(bytes).map_or(Ok(()), |size| check_size(size, options, name))?,
    }
    Ok(JpegFacts::default())
}

/// Width and height from the header chunk that begins every PNG.
fn png_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let field = |start: usize| bytes.get(start..)?.first_chunk::<4>();
    if field(12)? != b"IHDR" {
        return None;
    }
    Some((u32::from_be_bytes(*field(16)?), u32::from_be_bytes(*field(20)?)))
}

/// Refuses more pixels than the options allow.
fn check_size((width, height): (u32, u32), options: &LoadOptions, name: &str) -> Result<()> {
    if u64::from(width) * u64::from(height) <= options.max_pixels {
        return Ok(());
    }
    Err(DatasetError::TooLarge {
        what: format!("the image {name:?}"),
        width: width.into(),
        height: height.into(),
        limit: options.max_pixels,
    })
}

/// Sorts the decoder's errors into ours.
fn decoding_error(error: image::ImageError, codec: Codec, name: &str, options: &LoadOptions) -> DatasetError {
    let (name, format) = (name.to_owned(), codec.name());
    match error {
        image::ImageError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            DatasetError::Truncated { name, format }
        }
        image::ImageError::Unsupported(error) => {
            DatasetError::UnsupportedFeature { name, format, reason: error.to_string() }
        }
        image::ImageError::Limits(_) => DatasetError::Damaged {
            name,
            format,
            reason: format!("it asks for more than the {} bytes granted", options.max_bytes()),
        },
        other => DatasetError::Damaged { name, format, reason: other.to_string() },
    }
}
