//! From tokens to bytes.

use tessera_layers::checkpoint::hex;

use super::schema::{FIRST, Header, ID_BYTES, LENGTH_BYTES, Layout, Metadata, OVERLAP, Size, Tensor, to_json};
use crate::bitstream::TokenFileError;
use crate::token_file::{TokenFile, check_shape};

/// Tokens as the bytes of a `.safetensors` file; equal tokens give equal bytes.
///
/// | tensor | type | shape                       | there                          |
/// |--------|------|-----------------------------|--------------------------------|
/// | `ids`  | I64  | `[items, positions, depth]` | always                         |
/// | `kept` | BOOL | `[items, positions]`        | where not everything is kept   |
///
/// | metadata         | example                                                                          |
/// |------------------|----------------------------------------------------------------------------------|
/// | `tessera_tokens` | `1`: the version of this table; `2` where there is an overlap                    |
/// | `layout`         | `{"ordered":{"len":256}}`, `{"grid":{"height":16,"width":16}}`, `{"scales":{"counts":[1,4]}}` |
/// | `vocab`          | `[4096]`: vocabulary size of each depth                                          |
/// | `fingerprint`    | 64 hexadecimal digits                                                            |
/// | `picture`        | `{"width":640,"height":480}`, where it is known                                  |
/// | `tile`           | `256`, where the picture was tiled                                               |
/// | `overlap`        | `32`: pixels that neighbouring tiles share, where they do                        |
///
/// # Errors
/// [`TokenFileError::Field`] for tokens that no token file can hold: none at all, more than
/// [`MAX_IDS`](crate::token_file::MAX_IDS) ids, or a picture whose tiles are not the items.
pub fn write_safetensors(file: &TokenFile) -> Result<Vec<u8>, TokenFileError> {
    let TokenFile { tokens, picture, .. } = file;
    let ids = check_shape(tokens.batch(), tokens.layout(), tokens.vocab(), picture.as_ref())?;
    let (shape, data) = (vec![tokens.batch(), tokens.positions(), tokens.depth()], ids * ID_BYTES);
    let kept = tokens.kept().map(|kept| Tensor {
        dtype: "BOOL".to_owned(),
        shape: vec![tokens.batch(), tokens.positions()],
        data_offsets: [data, data + kept.len()],
    });
    let overlap = picture.map(|picture| picture.overlap).filter(|&overlap| overlap > 0);
    let header = Header {
        metadata: Metadata {
            tessera_tokens: if overlap.is_some() { OVERLAP } else { FIRST }.to_string(),
            layout: to_json(&Layout::from(tokens.layout()))?,
            vocab: to_json(&tokens.vocab())?,
            fingerprint: hex(&tokens.fingerprint().0),
            picture: picture.map(|p| to_json(&Size { width: p.width, height: p.height })).transpose()?,
            tile: picture.and_then(|p| p.tile).map(|tile| tile.to_string()),
            overlap: overlap.map(|overlap| overlap.to_string()),
        },
        ids: Tensor { dtype: "I64".to_owned(), shape, data_offsets: [0, data] },
        kept,
    };
    let mut header = to_json(&header)?.into_bytes();
    header.resize(header.len().next_multiple_of(LENGTH_BYTES), b' ');
    let kept = tokens.kept().unwrap_or_default();
    let mut out = Vec::with_capacity(LENGTH_BYTES + header.len() + data + kept.len());
    out.extend(u64::try_from(header.len()).unwrap_or(u64::MAX).to_le_bytes());
    out.extend(header);
    out.extend(tokens.ids().iter().flat_map(|&id| i64::from(id).to_le_bytes()));
    out.extend(kept.iter().map(|&kept| u8::from(kept)));
    Ok(out)
}
