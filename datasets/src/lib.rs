//! Pictures and 3D shapes in and out for tessera: decode, resize, crop, tile, save, compare; meshes, surfaces, metrics.
//!
//! | task | start at |
//! |---|---|
//! | file or bytes to a [`Picture`] | [`load_picture`], [`decode_picture`], [`LoadOptions`] |
//! | a folder of files | [`image_folder`] |
//! | resize exactly like Pillow, or like PyTorch tensors | [`resize`], [`resize_planar_torch`], [`Filter`] |
//! | batches to train on, from folders, tars and tables | [`Loader`], [`DataSource`] |
//! | ordered pictures to evaluate on | [`validation`], [`Source::pictures`] |
//! | the usual preparation of a model input | [`Preprocess`] |
//! | pictures of any size through a fixed-size model | [`TileGrid`] |
//! | write files that are never half-written | [`save_png`], [`write_atomically`] |
//! | look at the outcome | [`psnr`], [`Sheet`] |
//! | meshes and other 3D shapes | [`shape`] |
//!
//! ```
//! use tessera_datasets::{Filter, Picture, Preprocess, Sheet, psnr, save_png};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let out = folder.path().join("sheet.png");
//! let picture = Picture::filled(300, 200, [200, 30, 90])?; // or `load_picture(path, &Default::default())?`
//! let input = Preprocess::square(64, Filter::Bicubic).apply(&picture)?;
//! let values = input.to_planar_f32(); // [3, 64, 64] in [0, 1], ready for a model
//! let back = Picture::from_planar_f32(&values, 64, 64)?;
//! assert_eq!(psnr(&input, &back)?, f64::INFINITY);
//! let sheet = Sheet::new().push(input, &["input"]).push(back, &["output", "0.00 bits"]);
//! save_png(&out, &sheet.draw()?)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Untrusted files
//! Formats are decided by content, sizes are checked before memory is asked for, and every failure is a typed
//! [`DatasetError`] that names the next step. Decoding itself is done by the `image` crate, except for JPEG files that
//! its decoder garbles: those of several scans that are not progressive, and those whose first component is stored
//! smaller than another, are decoded by the `jpeg-decoder` crate.
//!
//! # Not supported
//! - Colour management: embedded ICC profiles are ignored, as Pillow does; pictures are taken as sRGB.
//! - CMYK JPEG with true colours: refused, or converted without a profile on request ([`Cmyk`]).
//! - Animations: only the first frame of an animated PNG or WebP is read.
//! - Formats other than PNG, JPEG and WebP; more than 8 bits per channel (16-bit files are rounded to 8).
//! - Exif blocks behind the image data of a PNG (they are legal but rare): their orientation is not seen.
//! - Data sources over a network, compressed tars, sparse members of tars.
//! - Decoding a part of a file, or a JPEG at reduced size: a photo that the loader's cache cannot keep is decoded in full
//!   for each crop.
//! - JPEG files with a component between the largest and the smallest size (as factors 4, 2 and 1) in several scans:
//!   refused ([`DatasetError::JpegLayout`]), unless progressive and with the first component the largest.
//! - JPEG decoding that equals libjpeg byte for byte: values may differ by a few levels, and by more at strong edges in
//!   the last row of a picture whose colour is stored at half height.

#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod canvas;
mod error;
mod flatten;
mod folder;
mod jpeg_frame;
mod jpeg_planes;
mod jpeg_scan;
mod load;
mod loader;
mod picture;
mod planar;
mod preprocess;
mod raster;
mod resize;
mod save;
pub mod shape;
mod sheet;
mod sniff;
mod source;
mod tiles;
mod transform;

pub use error::{DatasetError, Result};
pub use folder::image_folder;
pub use load::{Cmyk, LoadOptions, decode_picture, load_picture};
pub use loader::{Batch, Loader, LoaderOptions, Stream};
pub use picture::{Picture, psnr};
pub use planar::Planar;
pub use preprocess::{Preprocess, ResizeMode};
pub use resize::{Filter, resize, resize_planar_torch};
pub use save::{save_png, write_atomically};
pub use sheet::Sheet;
pub use source::{Background, Crop, DataSource, Example, Sample, Source, validation};
pub use tiles::TileGrid;
pub use transform::{center_crop, crop, flip_horizontal, random_crop, resize_shorter_edge, shorter_edge_size};

/// The most pixels that any picture made by this crate may have (268,435,456, for example 16384x16384).
///
/// [`LoadOptions::max_pixels`] starts at this value; results of resizing, tiling and drawing are held to it, so that an
/// extreme aspect ratio ends in [`DatasetError::TooLarge`] and not in an allocation of gigabytes.
pub const MAX_PIXELS: u64 = 1 << 28;

/// The longest side that a resize step accepts or makes (1,048,576).
///
/// The filter weights of a step take memory in proportion to its sides, even for a picture one pixel high.
pub const MAX_RESIZE_SIDE: u32 = 1 << 20;
