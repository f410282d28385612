//! From tokens to bytes.

use super::bits::BitWriter;
use super::header::Header;
use super::{TokenFileError, stream_order};
use crate::token_file::{TokenFile, check_shape, ids_limit};
use crate::tokens::{Tokens, id_bits};

/// Tokens as the bytes of a `.tsr` file; equal tokens give equal bytes.
///
/// # Errors
/// [`TokenFileError::Field`] for tokens that no token file can hold: none at all, more than
/// [`MAX_IDS`](crate::token_file::MAX_IDS) ids, or a picture whose tiles are not the items.
/// [`TokenFileError::TooManyIds`] if so few of them are kept that a reader would refuse the file, see
/// [`ids_limit`].
pub fn write_tsr(file: &TokenFile) -> Result<Vec<u8>, TokenFileError> {
    let tokens = &file.tokens;
    let ids = check_shape(tokens.batch(), tokens.layout(), tokens.vocab(), file.picture.as_ref())?;
    let mut out = Vec::new();
    let mut checksum = Header::write(file, &mut out)?;
    let header = out.len();
    pack(tokens, &mut out);
    checksum.update(out.get(header..).unwrap_or_default());
    out.extend(checksum.finalize().to_le_bytes());
    let limit = ids_limit(out.len());
    if ids > limit {
        return Err(TokenFileError::TooManyIds { ids, limit, bytes: out.len() });
    }
    Ok(out)
}

/// The ids of tokens as a `.tsr` file packs them, without its header and checksums: `ceil(kept tokens * bits of a token / 8)` bytes.
/// This is what a budget in bytes counts.
pub fn payload(tokens: &Tokens) -> Vec<u8> {
    let mut out = Vec::new();
    pack(tokens, &mut out);
    out
}

fn pack(tokens: &Tokens, out: &mut Vec<u8>) {
    let widths: Vec<u32> = tokens.vocab().iter().map(|&vocab| id_bits(vocab)).collect();
    let mut bits = BitWriter::new(out);
    for at in stream_order(tokens.batch(), tokens.positions()) {
        if !tokens.kept().is_none_or(|kept| kept.get(at).copied().unwrap_or(false)) {
            continue;
        }
        let start = at * widths.len();
        let token = tokens.ids().get(start..start + widths.len()).unwrap_or_default();
        for (&id, &width) in token.iter().zip(&widths) {
            bits.push(id, width);
        }
    }
    bits.finish();
}
