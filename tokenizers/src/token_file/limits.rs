//! What a token file may hold, and with it what a reader may allocate.

use super::PictureInfo;
use crate::bitstream::TokenFileError;
use crate::tokens::TokenLayout;

/// Most ids of one file, kept or not: items x positions x depth.
pub const MAX_IDS: usize = 1 << 26;
/// Ids that a file of any length may describe.
pub const SMALL_IDS: usize = 1 << 22;
/// Ids that a file may describe for each of its bytes, where they are more than [`SMALL_IDS`].
pub const IDS_PER_BYTE: usize = 256;
/// Most codes of one position.
pub const MAX_DEPTH: usize = 255;
/// Most scales of a layout.
pub const MAX_SCALES: usize = 4096;

/// Ids that a file of `file_bytes` bytes may describe: [`IDS_PER_BYTE`] x `file_bytes`, but at least [`SMALL_IDS`] and
/// at most [`MAX_IDS`].
///
/// Positions that are not kept take no space in a file but do in memory; this keeps the two in proportion.
pub fn ids_limit(file_bytes: usize) -> usize {
    file_bytes.saturating_mul(IDS_PER_BYTE).clamp(SMALL_IDS, MAX_IDS)
}

/// Bytes that a reader allocates at most, result included, for a file of `file_bytes` bytes already in memory: 6 for
/// each id that the file may describe ([`ids_limit`]) and 1 MiB.
pub fn memory_limit(file_bytes: usize) -> usize {
    6 * ids_limit(file_bytes) + (1 << 20)
}

/// The number as an index; saturates where `usize` is narrower.
pub(crate) fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Counts the ids of a file, and checks all that both formats ask of the shape.
pub(crate) fn check_shape(
    items: usize,
    layout: &TokenLayout,
    vocab: &[u32],
    picture: Option<&PictureInfo>,
) -> Result<usize, TokenFileError> {
    check("depth", vocab.len(), 1, MAX_DEPTH)?;
    for &vocab in vocab {
        check("vocabulary", size(vocab), 1, usize::MAX)?;
    }
    if let TokenLayout::Scales { counts } = layout {
        check("scales", counts.len(), 1, MAX_SCALES)?;
    }
    check("positions", layout.positions(), 1, MAX_IDS)?;
    check("items", items, 1, MAX_IDS)?;
    let ids = items.saturating_mul(layout.positions()).saturating_mul(vocab.len());
    check("ids", ids, 1, MAX_IDS)?;
    if let Some(picture) = picture {
        check_picture(items, picture)?;
    }
    Ok(ids)
}

fn check_picture(items: usize, picture: &PictureInfo) -> Result<(), TokenFileError> {
    check("picture width", size(picture.width), 1, usize::MAX)?;
    check("picture height", size(picture.height), 1, usize::MAX)?;
    check("tile side", size(picture.tile.unwrap_or(1)), 1, usize::MAX)?;
    check("tile overlap", size(picture.overlap), 0, size(picture.tile.unwrap_or(1).div_ceil(2)).saturating_sub(1))?;
    if u64::try_from(items).ok() == Some(picture.tiles()) {
        return Ok(());
    }
    let expected = format!("{}, one for each tile of the picture", picture.tiles());
    Err(TokenFileError::Field { what: "items", expected, found: items.to_string() })
}

fn check(what: &'static str, found: usize, least: usize, most: usize) -> Result<(), TokenFileError> {
    if (least..=most).contains(&found) {
        return Ok(());
    }
    let expected = match most {
        usize::MAX => format!("at least {least}"),
        _ => format!("{least} to {most}"),
    };
    Err(TokenFileError::Field { what, expected, found: found.to_string() })
}
