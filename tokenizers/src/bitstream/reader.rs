//! From bytes to tokens.

use std::cmp::Ordering;

use super::bits::BitReader;
use super::header::{CHECKSUM, Header};
use super::{TokenFileError, stream_order};
use crate::token_file::{Cut, TokenFile};
use crate::tokens::{Tokens, id_bits};

/// Tokens from the bytes of a `.tsr` file.
///
/// With `partial`, a file that was cut anywhere after its header decodes to the whole tokens it still holds: the others
/// are not kept, and [`TokenFile::cut`] counts both. Without, such a file is an error.
///
/// Allocates no more than [`memory_limit`](crate::token_file::memory_limit) of the file's length.
///
/// # Errors
/// [`TokenFileError`] if the bytes are no `.tsr` file of this version, the header is cut, damaged or contradicts
/// itself, more ids are described than [`ids_limit`](crate::token_file::ids_limit) allows, the payload is cut (only
/// without `partial`), too long or damaged, or an id lies outside its vocabulary.
pub fn read_tsr(bytes: &[u8], partial: bool) -> Result<TokenFile, TokenFileError> {
    let mut header = Header::read(bytes)?;
    let tokens = header.items.saturating_mul(header.layout.positions());
    let expected = match &header.kept {
        Some(kept) => kept.iter().filter(|&&kept| kept).count(),
        None => tokens,
    };
    let widths: Vec<u32> = header.vocab.iter().map(|&vocab| id_bits(vocab)).collect();
    let token_bits = widths.iter().map(|&bits| crate::token_file::size(bits)).sum::<usize>();

    // a usize of 32 bits may saturate: then the file is shorter, and the payload counts as cut
    let length = expected.saturating_mul(token_bits).div_ceil(8);
    let body = bytes.get(header.bytes..).unwrap_or_default();
    let payload = body.get(..length.min(body.len())).unwrap_or_default();
    let present = match body.len().cmp(&length.saturating_add(CHECKSUM)) {
        Ordering::Greater => {
            let expected = bytes.len() - body.len() + length + CHECKSUM;
            return Err(TokenFileError::TooLong { expected, found: bytes.len() });
        }
        Ordering::Equal => {
            check_payload(&mut header, body, payload)?;
            expected
        }
        Ordering::Less => {
            let held = payload.len().saturating_mul(8).checked_div(token_bits).unwrap_or(expected);
            let present = held.min(expected);
            if !partial {
                return Err(TokenFileError::Cut { present, expected });
            }
            present
        }
    };
    let cut = (body.len() < length.saturating_add(CHECKSUM)).then_some(Cut { present, expected });

    let mut bits = BitReader::new(payload);
    let mut ids = vec![0; header.ids];
    let mut left_over = cut.map(|_| vec![false; tokens]);
    unpack(&mut bits, &header, &widths, present, &mut ids, left_over.as_deref_mut());
    if cut.is_none() && !bits.rest_is_zero() {
        return Err(TokenFileError::Padding);
    }
    let Header { items, layout, vocab, fingerprint, kept, picture, .. } = header;
    let mut tokens = Tokens::new(ids, items, layout, vocab, fingerprint)?;
    if let Some(kept) = left_over.or(kept) {
        tokens = tokens.with_kept(kept)?;
    }
    Ok(TokenFile { tokens, picture, cut })
}

fn check_payload(header: &mut Header, body: &[u8], payload: &[u8]) -> Result<(), TokenFileError> {
    header.checksum.update(payload);
    let computed = header.checksum.clone().finalize();
    let found = u32::from_le_bytes(body.last_chunk::<CHECKSUM>().copied().unwrap_or_default());
    if found == computed { Ok(()) } else { Err(TokenFileError::Damaged { found, computed }) }
}

/// Fills in the first `present` kept tokens in stream order: their ids `[items, positions, depth]`, which start as
/// zeros, and where a mask `[items, positions]` is given their marks.
fn unpack(
    bits: &mut BitReader,
    header: &Header,
    widths: &[u32],
    present: usize,
    ids: &mut [u32],
    mut marks: Option<&mut [bool]>,
) {
    let kept = header.kept.as_deref();
    let order = stream_order(header.items, header.layout.positions());
    let order = order.filter(|&at| kept.is_none_or(|kept| kept.get(at).copied().unwrap_or(false)));
    for at in order.take(present) {
        let start = at * widths.len();
        let token = ids.get_mut(start..start + widths.len()).unwrap_or_default();
        for (id, &width) in token.iter_mut().zip(widths) {
            *id = bits.take(width).unwrap_or_default();
        }
        if let Some(mark) = marks.as_deref_mut().and_then(|marks| marks.get_mut(at)) {
            *mark = true;
        }
    }
}
