//! The one error type of the crate.
//!
//! Every message says what was expected, what was found and what to do next. Paths and names are quoted as given.

use std::io;
use std::path::{Path, PathBuf};

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, DatasetError>;

/// Everything that can go wrong between a file and a picture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// The path does not exist.
    #[error("expected a file or folder at {path:?}, found nothing there; check the path for a typo")]
    NotFound {
        /// The path as given.
        path: PathBuf,
    },
    /// A picture file was wanted, the path is a folder.
    #[error(
        "expected an image file, found the folder {path:?}; name one file inside it, or list it with `image_folder`"
    )]
    IsFolder {
        /// The path as given.
        path: PathBuf,
    },
    /// A folder was wanted, the path is a file.
    #[error(
        "expected a folder of images, found the file {path:?}; name the folder that holds it, or load it with `load_picture`"
    )]
    NotAFolder {
        /// The path as given.
        path: PathBuf,
    },
    /// The operating system refuses access.
    #[error(
        "expected access to {path:?}, the operating system refused it; change its permissions or choose another path"
    )]
    PermissionDenied {
        /// The file or folder that could not be opened.
        path: PathBuf,
    },
    /// Any other failure while reading.
    #[error(
        "expected to read {path:?} to its end, the system reported {kind:?}: {source}; check the disk and try again"
    )]
    Read {
        /// The file or folder that was read.
        path: PathBuf,
        /// The kind of the cause, for matching.
        kind: io::ErrorKind,
        /// The cause.
        source: io::Error,
    },
    /// The file holds no bytes.
    #[error("expected an image in {name:?}, found an empty file; fetch or export it again")]
    EmptyFile {
        /// Name of the input.
        name: String,
    },
    /// The content is no image at all, whatever the file name says.
    #[error("expected a PNG, JPEG or WebP image in {name:?}, found {found}; the content decides, not the file name")]
    NotAnImage {
        /// Name of the input.
        name: String,
        /// What the first bytes look like.
        found: &'static str,
    },
    /// An image format that this crate does not decode.
    #[error("expected a PNG, JPEG or WebP image in {name:?}, found the format {format}; convert it to PNG first")]
    UnsupportedFormat {
        /// Name of the input.
        name: String,
        /// The format that was recognised.
        format: &'static str,
    },
    /// A supported format with a coding feature that the decoder lacks.
    #[error(
        "expected a common {format} variant in {name:?}, found one that cannot be decoded ({reason}); convert it to PNG first"
    )]
    UnsupportedFeature {
        /// Name of the input.
        name: String,
        /// The container format.
        format: &'static str,
        /// The decoder's words.
        reason: String,
    },
    /// A CMYK or YCCK JPEG, whose colours depend on a printing profile.
    #[error(
        "expected greyscale or RGB colours in {name:?}, found a CMYK JPEG (four inks, for print); \
         convert it to sRGB, or set `LoadOptions::cmyk` to `Cmyk::Approximate` for uncalibrated colours"
    )]
    CmykJpeg {
        /// Name of the input.
        name: String,
    },
    /// A JPEG whose components are stored in sizes and scans that no decoder here reads right.
    #[error(
        "expected a JPEG with colour at full, half or quarter size in {name:?}, found a rare mixture of sizes in several \
         scans; save it again as an ordinary baseline or progressive JPEG, or as PNG"
    )]
    JpegLayout {
        /// Name of the input.
        name: String,
    },
    /// The file ends before the image does.
    #[error(
        "expected a complete {format} image in {name:?}, found a file that ends too early; fetch or export it again"
    )]
    Truncated {
        /// Name of the input.
        name: String,
        /// The container format.
        format: &'static str,
    },
    /// The file is long enough but its content contradicts itself.
    #[error("expected a valid {format} image in {name:?}, found damaged data ({reason}); fetch or export it again")]
    Damaged {
        /// Name of the input.
        name: String,
        /// The container format.
        format: &'static str,
        /// The decoder's words.
        reason: String,
    },
    /// A picture, or the result of a step, over the pixel limit.
    #[error(
        "expected at most {limit} pixels for {what}, found {width}x{height}; use a smaller picture or size, or raise the limit if there is one to set"
    )]
    TooLarge {
        /// What would have that many pixels.
        what: String,
        /// Width in pixels.
        width: u64,
        /// Height in pixels.
        height: u64,
        /// The limit in pixels.
        limit: u64,
    },
    /// A side that a resize step would read or make is over [`crate::MAX_RESIZE_SIDE`].
    #[error("expected sides of at most {limit} pixels to resize, found {side}; cut the picture into pieces first")]
    SideTooLong {
        /// The side in pixels.
        side: u32,
        /// The limit in pixels.
        limit: u32,
    },
    /// A width, height, tile side, crop or target of zero.
    #[error("expected {what} of at least 1, found 0; give a positive number")]
    Zero {
        /// The quantity.
        what: &'static str,
    },
    /// A buffer whose length does not fit the stated width and height.
    #[error(
        "expected {expected} values for a {width}x{height} picture with 3 channels, found {found}; check width, height and channel count"
    )]
    WrongLength {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// The length that would fit.
        expected: u64,
        /// The length given.
        found: u64,
    },
    /// Two sizes that have to be equal are not.
    #[error(
        "expected a picture of {expected_width}x{expected_height}, found {width}x{height}; bring both to the same size first"
    )]
    SizeMismatch {
        /// Expected width.
        expected_width: u32,
        /// Expected height.
        expected_height: u32,
        /// Width found.
        width: u32,
        /// Height found.
        height: u32,
    },
    /// A crop window that reaches outside the picture.
    #[error(
        "expected a crop window inside the {width}x{height} picture, found {crop_width}x{crop_height} at ({left}, {top}); \
         choose a smaller window or resize the picture first"
    )]
    CropOutside {
        /// Picture width.
        width: u32,
        /// Picture height.
        height: u32,
        /// Window width.
        crop_width: u32,
        /// Window height.
        crop_height: u32,
        /// Left edge of the window.
        left: u32,
        /// Top edge of the window.
        top: u32,
    },
    /// Tiles that share half their side or more.
    #[error(
        "expected tiles that overlap by less than half their side of {tile} pixels, found an overlap of {overlap}; choose a smaller one"
    )]
    Overlap {
        /// Pixels that neighbouring tiles would share.
        overlap: u32,
        /// Side of a tile.
        tile: u32,
    },
    /// The number of tiles does not belong to the grid.
    #[error("expected {expected} tiles for this grid, found {found}; pass every tile once, row by row")]
    TileCount {
        /// Tiles of the grid.
        expected: usize,
        /// Tiles given.
        found: usize,
    },
    /// A setting of a data source or loader that cannot be used.
    #[error("expected {expected} for the setting `{setting}`, found {found}; correct the configuration")]
    Setting {
        /// Name of the field.
        setting: &'static str,
        /// What would be accepted.
        expected: &'static str,
        /// What was given.
        found: String,
    },
    /// A tar that is damaged, cut off, compressed, or uses what this crate does not read.
    #[error("expected a complete, uncompressed tar in {path:?}, found at byte {at}: {found}; fetch or write it again")]
    Tar {
        /// The tar as named.
        path: PathBuf,
        /// The offset of the block at fault.
        at: u64,
        /// What is there.
        found: String,
    },
    /// A table of labels that cannot be used.
    #[error("expected {expected} in the table {path:?} (line {line}), found {found}; correct the table")]
    Labels {
        /// The table as named.
        path: PathBuf,
        /// The line at fault, from 1.
        line: u64,
        /// What would be accepted.
        expected: String,
        /// What is there.
        found: String,
    },
    /// Rows of a table whose images the source lacks.
    #[error(
        "expected every file of the table {labels:?} in {path:?}, found {missing} missing, first {first:?}; \
         check that the column `file` holds paths inside the tar or folder"
    )]
    LabelledFilesMissing {
        /// The table as named.
        labels: PathBuf,
        /// The source as named.
        path: PathBuf,
        /// How many are missing.
        missing: usize,
        /// The first of them, in the order of the alphabet.
        first: String,
    },
    /// A data source without a single sample.
    #[error("expected at least one sample in {path:?}, found none: {reason}")]
    NoSamples {
        /// The source as named.
        path: PathBuf,
        /// Why none is left.
        reason: String,
    },
    /// A loader without sources.
    #[error("expected at least one data source, found none; name one in the configuration")]
    NoSources,
    /// A position behind the last sample.
    #[error("expected a sample below {len}, found the index {index}; check it against `Source::len`")]
    NoSuchSample {
        /// The index given.
        index: usize,
        /// Number of samples.
        len: usize,
    },
    /// So many samples in a row cannot be read that training on the rest would be a mistake.
    #[error(
        "expected readable samples in {path:?}, found {tried} damaged ones in a row, the last: {last}; \
         check the data, or name another source"
    )]
    OnlyDamagedSamples {
        /// The source as named.
        path: PathBuf,
        /// How many were tried.
        tried: u64,
        /// What was wrong with the last one.
        last: String,
    },
    /// A file of a data source over the limit on its bytes.
    #[error("expected at most {limit} bytes in {name:?}, found {bytes}; remove it or make it smaller")]
    FileTooLarge {
        /// Name of the file or member.
        name: String,
        /// Its length.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// A caption that is not UTF-8.
    #[error("expected UTF-8 text in {name:?}, found other bytes; convert or remove it")]
    NotText {
        /// Name of the file or member.
        name: String,
    },
    /// The threads of a loader could not be started.
    #[error("expected to start the loader's threads, the system reported: {reason}; use fewer workers")]
    Threads {
        /// The system's words.
        reason: String,
    },
    /// A stream that gave an error before, or whose thread has died.
    #[error("expected a running stream of batches, found that it has ended after an error; open another one")]
    StreamEnded,
    /// A sheet without any cell.
    #[error("expected at least one picture on the sheet, found none; add one with `Sheet::push`")]
    EmptySheet,
    /// The folder of a file to be written does not exist.
    #[error("expected the folder {folder:?} to write {path:?} into, found none; create the folder first")]
    NoSuchFolder {
        /// The missing folder.
        folder: PathBuf,
        /// The file that was to be written.
        path: PathBuf,
    },
    /// The path to be written names a folder or nothing at all.
    #[error(
        "expected the name of a file to write, found {path:?}, which is a folder or has no file name; add a file name"
    )]
    NotAFileName {
        /// The path as given.
        path: PathBuf,
    },
    /// The file to be replaced is marked read-only.
    #[error("expected to replace {path:?}, found it marked read-only; make it writable or choose another name")]
    ReadOnly {
        /// The path as given.
        path: PathBuf,
    },
    /// No room left, or the user's quota is used up.
    #[error("expected room on the disk for {path:?}, the system reported {kind:?}; free some space and try again")]
    DiskFull {
        /// The file that was to be written.
        path: PathBuf,
        /// `StorageFull`, `QuotaExceeded` or `FileTooLarge`.
        kind: io::ErrorKind,
    },
    /// Any other failure while writing.
    #[error(
        "expected to write {path:?}, the system reported {kind:?}: {source}; an existing file of that name is unchanged"
    )]
    Write {
        /// The file that was to be written.
        path: PathBuf,
        /// The kind of the cause, for matching.
        kind: io::ErrorKind,
        /// The cause.
        source: io::Error,
    },
}

impl DatasetError {
    /// The error for a failed read of `path`.
    pub(crate) fn reading(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound { path },
            io::ErrorKind::PermissionDenied => Self::PermissionDenied { path },
            io::ErrorKind::IsADirectory => Self::IsFolder { path },
            io::ErrorKind::NotADirectory => Self::NotAFolder { path },
            kind => Self::Read { path, kind, source },
        }
    }

    /// The error for a failed write of `path`.
    pub(crate) fn writing(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::PermissionDenied { path },
            kind @ (io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge) => {
                Self::DiskFull { path, kind }
            }
            kind => Self::Write { path, kind, source },
        }
    }
}
