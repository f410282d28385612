//! From bytes to tokens.

use super::schema::{
    FIRST, Header, ID_BYTES, LENGTH_BYTES, Layout, MAX_HEADER, Metadata, OVERLAP, Size, Tensor, clean, from_json,
};
use crate::bitstream::TokenFileError;
use crate::token_file::{PictureInfo, TokenFile, check_shape};
use crate::tokens::{Fingerprint, TokenLayout, Tokens};

/// Tokens from the bytes of a `.safetensors` file as [`write_safetensors`](super::write_safetensors) describes it;
/// `kept` may also be U8.
///
/// # Errors
/// [`TokenFileError`] if the header is absent, too long or not as described, a tensor is missing, surplus, of another
/// type or shape, data is missing or left over, or an id lies outside its vocabulary.
pub fn read_safetensors(bytes: &[u8]) -> Result<TokenFile, TokenFileError> {
    let (header, data) = split_header(bytes)?;
    let Header { metadata, ids, kept } = from_json("safetensors header", header)?;
    let version: u32 = from_json("metadata tessera_tokens", metadata.tessera_tokens.as_bytes())?;
    if !(FIRST..=OVERLAP).contains(&version) {
        return Err(TokenFileError::Version { expected: OVERLAP, found: version });
    }
    let layout = TokenLayout::from(from_json::<Layout>("metadata layout", metadata.layout.as_bytes())?);
    let vocab: Vec<u32> = from_json("metadata vocab", metadata.vocab.as_bytes())?;
    let picture = read_picture(&metadata, version)?;
    let fingerprint = read_fingerprint(&metadata.fingerprint)?;

    let items = ids.shape.first().copied().unwrap_or_default();
    let count = check_shape(items, &layout, &vocab, picture.as_ref())?;
    let positions = layout.positions();
    ids.check("tensor ids", &["I64"], &[items, positions, vocab.len()], count * ID_BYTES)?;
    if let Some(kept) = &kept {
        kept.check("tensor kept", &["BOOL", "U8"], &[items, positions], items * positions)?;
    }
    check_cover(&ids, kept.as_ref(), data.len())?;

    let ids = read_ids(ids.data(data))?;
    let mut tokens = Tokens::new(ids, items, layout, vocab, fingerprint)?;
    if let Some(kept) = kept {
        tokens = tokens.with_kept(read_kept(kept.data(data))?)?;
    }
    Ok(TokenFile { tokens, picture, cut: None })
}

fn split_header(bytes: &[u8]) -> Result<(&[u8], &[u8]), TokenFileError> {
    let cut = |needed| TokenFileError::HeaderCut { needed, found: bytes.len() };
    let (length, rest) = bytes.split_first_chunk::<LENGTH_BYTES>().ok_or_else(|| cut(LENGTH_BYTES))?;
    let length = u64::from_le_bytes(*length);
    let Some(length) = usize::try_from(length).ok().filter(|&length| length <= MAX_HEADER) else {
        let expected = format!("at most {MAX_HEADER} bytes");
        return Err(TokenFileError::Field { what: "safetensors header", expected, found: length.to_string() });
    };
    rest.split_at_checked(length).ok_or_else(|| cut(LENGTH_BYTES + length))
}

/// The tensors must fill the data, without holes or overlap.
fn check_cover(ids: &Tensor, kept: Option<&Tensor>, found: usize) -> Result<(), TokenFileError> {
    let [start, end] = ids.data_offsets;
    let [kept_start, kept_end] = kept.map_or([end, end], |kept| kept.data_offsets);
    let covered = match start {
        0 => (end == kept_start).then_some(kept_end),
        _ => (kept_start == 0 && kept_end == start).then_some(end),
    };
    if covered == Some(found) {
        return Ok(());
    }
    let expected = match covered {
        Some(bytes) => format!("{bytes} bytes"),
        None => "tensors one after the other from byte 0".to_owned(),
    };
    Err(TokenFileError::Field { what: "tensor data", expected, found: format!("{found} bytes") })
}

fn read_ids(data: &[u8]) -> Result<Vec<u32>, TokenFileError> {
    let mut ids = Vec::with_capacity(data.len() / ID_BYTES);
    for chunk in data.as_chunks::<ID_BYTES>().0 {
        let id = i64::from_le_bytes(*chunk);
        let id = u32::try_from(id).map_err(|_| TokenFileError::Field {
            what: "tensor ids",
            expected: format!("ids of 0 to {}", u32::MAX),
            found: id.to_string(),
        })?;
        ids.push(id);
    }
    Ok(ids)
}

fn read_kept(data: &[u8]) -> Result<Vec<bool>, TokenFileError> {
    let mark = |&byte: &u8| match byte {
        0 => Ok(false),
        1 => Ok(true),
        _ => {
            let expected = "marks of 0 or 1".to_owned();
            Err(TokenFileError::Field { what: "tensor kept", expected, found: byte.to_string() })
        }
    };
    let mut kept = Vec::with_capacity(data.len());
    for byte in data {
        kept.push(mark(byte)?);
    }
    Ok(kept)
}

fn read_picture(metadata: &Metadata, version: u32) -> Result<Option<PictureInfo>, TokenFileError> {
    let tile = metadata.tile.as_ref().map(|tile| from_json("metadata tile", tile.as_bytes())).transpose()?;
    let field = |what, expected: &str, found: &str| {
        Err(TokenFileError::Field { what, expected: expected.to_owned(), found: found.to_owned() })
    };
    // `overlap` means something in version 2 alone; before, it is a key of another program.
    let overlap = match (version, &metadata.overlap) {
        (FIRST, _) => 0,
        (_, Some(overlap)) => from_json("metadata overlap", overlap.as_bytes())?,
        (_, None) => return field("metadata overlap", "a number in version 2", "none"),
    };
    if version == OVERLAP && overlap == 0 {
        return field("metadata overlap", "at least 1 in version 2", "0");
    }
    match &metadata.picture {
        Some(picture) => {
            let Size { width, height } = from_json("metadata picture", picture.as_bytes())?;
            Ok(Some(PictureInfo { width, height, tile, overlap }))
        }
        None if tile.is_none() && overlap == 0 => Ok(None),
        None => field("metadata picture", "a picture beside a tile", "none"),
    }
}

fn read_fingerprint(hex: &str) -> Result<Fingerprint, TokenFileError> {
    let mut fingerprint = [0; 32];
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    let mut right = pairs.len() == fingerprint.len() && rest.is_empty();
    for (byte, &[high, low]) in fingerprint.iter_mut().zip(pairs) {
        match (digit(high), digit(low)) {
            (Some(high), Some(low)) => *byte = high << 4 | low,
            _ => right = false,
        }
    }
    if right {
        return Ok(Fingerprint(fingerprint));
    }
    let expected = "64 lower-case hexadecimal digits".to_owned();
    Err(TokenFileError::Field { what: "metadata fingerprint", expected, found: clean(hex) })
}
