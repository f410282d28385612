//! The header: everything but the ids.

use crc32fast::Hasher;

use super::TokenFileError;
use super::kept::{self, Kept};
use crate::token_file::{MAX_IDS, MAX_SCALES, PictureInfo, TokenFile, check_shape, ids_limit, size};
use crate::tokens::{Fingerprint, TokenLayout};

/// First bytes of every file.
pub(super) const MAGIC: [u8; 4] = *b"\x89TSR";
/// Version of the format.
pub(super) const VERSION: u8 = 1;
/// Bytes of a checksum.
pub(super) const CHECKSUM: usize = 4;

const LAYOUT: u8 = 0b0000_0011;
const KEPT: u8 = 0b0000_1100;
const KEPT_SHIFT: u32 = 2;
const PICTURE: u8 = 0b0001_0000;
const TILED: u8 = 0b0010_0000;
const UNUSED: u8 = 0b1100_0000;

/// What a header says, checked.
pub(super) struct Header {
    pub(super) fingerprint: Fingerprint,
    pub(super) items: usize,
    pub(super) layout: TokenLayout,
    pub(super) vocab: Vec<u32>,
    pub(super) picture: Option<PictureInfo>,
    /// `[items, positions]`; `None` where everything is kept.
    pub(super) kept: Option<Vec<bool>>,
    /// Ids of the whole shape, kept or not.
    pub(super) ids: usize,
    /// Bytes of the header, its checksum included.
    pub(super) bytes: usize,
    /// Over the header without its checksum; goes on over the payload.
    pub(super) checksum: Hasher,
}

impl Header {
    /// Reads the header at the start of a file.
    pub(super) fn read(file: &[u8]) -> Result<Self, TokenFileError> {
        let mut cursor = Cursor { file, at: 0 };
        let magic = cursor.array()?;
        if magic != MAGIC {
            return Err(TokenFileError::NotTsr { found: magic });
        }
        let [version, flags, depth, unused] = cursor.array()?;
        if version != VERSION {
            return Err(TokenFileError::Version { expected: VERSION.into(), found: version.into() });
        }
        if flags & UNUSED != 0 || unused != 0 {
            return Err(field("unused bits", "0", format!("flags {flags:#010b}, byte 7 {unused}")));
        }
        let fingerprint = Fingerprint(cursor.array()?);
        let items = cursor.number()?;
        let layout = cursor.layout(flags & LAYOUT)?;
        let picture = cursor.picture(flags)?;
        let vocab = cursor.numbers(depth.into())?;
        let Some(positions) = u32::try_from(layout.positions()).ok().filter(|&p| size(p) <= MAX_IDS) else {
            return Err(field("positions", format!("at most {MAX_IDS}"), layout.positions().to_string()));
        };
        let kept_code = (flags & KEPT) >> KEPT_SHIFT;
        let kept_bytes = kept::stored_bytes(kept_code, items, positions);
        let kept = cursor.take(usize::try_from(kept_bytes).unwrap_or(usize::MAX))?;

        let mut checksum = Hasher::new();
        checksum.update(cursor.done());
        let (found, computed) = (cursor.number()?, checksum.clone().finalize());
        if found != computed {
            return Err(TokenFileError::HeaderDamaged { found, computed });
        }

        let items = size(items);
        let ids = check_shape(items, &layout, &vocab, picture.as_ref())?;
        let limit = ids_limit(file.len());
        if ids > limit {
            return Err(TokenFileError::TooManyIds { ids, limit, bytes: file.len() });
        }
        let Some(kept) = kept::read(kept_code, kept, items, positions) else {
            let expected = format!("the shortest form of a mask of {items} x {positions} positions");
            return Err(field("kept positions", expected, format!("form {kept_code} of other content")));
        };
        Ok(Self { fingerprint, items, layout, vocab, picture, kept, ids, bytes: cursor.at, checksum })
    }

    /// Appends the header of a file whose shape was checked; the checksum that comes back goes on over the payload.
    pub(super) fn write(file: &TokenFile, out: &mut Vec<u8>) -> Result<Hasher, TokenFileError> {
        let TokenFile { tokens, picture, .. } = file;
        let number = |what, number: usize| {
            u32::try_from(number).map_err(|_| field(what, format!("at most {}", u32::MAX), number.to_string()))
        };
        let kept = Kept::of(tokens.kept(), tokens.positions());
        let (layout, numbers) = match tokens.layout() {
            TokenLayout::Ordered { len } => (0, vec![*len]),
            TokenLayout::Grid { height, width } => (1, vec![*height, *width]),
            TokenLayout::Scales { counts } => {
                let count = number("scales", counts.len())?;
                (2, std::iter::once(count).chain(counts.iter().copied()).collect())
            }
        };
        let mut flags = layout | kept.code() << KEPT_SHIFT;
        let mut sizes = Vec::new();
        if let Some(PictureInfo { width, height, tile }) = *picture {
            flags |= if tile.is_some() { PICTURE | TILED } else { PICTURE };
            sizes.extend([width, height].into_iter().chain(tile));
        }
        let Ok(depth) = u8::try_from(tokens.depth()) else {
            return Err(field("depth", "at most 255", tokens.depth().to_string()));
        };

        out.extend(MAGIC);
        out.extend([VERSION, flags, depth, 0]);
        out.extend(tokens.fingerprint().0);
        out.extend(number("items", tokens.batch())?.to_le_bytes());
        let lists = numbers.iter().chain(&sizes).chain(tokens.vocab());
        out.extend(lists.flat_map(|number| number.to_le_bytes()));
        let positions = number("positions", tokens.positions())?;
        kept.write(tokens.kept().unwrap_or_default(), positions, out);
        let mut checksum = Hasher::new();
        checksum.update(out);
        out.extend(checksum.clone().finalize().to_le_bytes());
        Ok(checksum)
    }
}

/// Walks over the header; every step is checked against the end of the file.
struct Cursor<'a> {
    file: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], TokenFileError> {
        let end = self.at.saturating_add(count);
        let taken = self.file.get(self.at..end);
        let taken = taken.ok_or(TokenFileError::HeaderCut { needed: end, found: self.file.len() })?;
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], TokenFileError> {
        let taken = self.take(N)?;
        taken.first_chunk().copied().ok_or(TokenFileError::HeaderCut { needed: N, found: taken.len() })
    }

    fn number(&mut self) -> Result<u32, TokenFileError> {
        self.array().map(u32::from_le_bytes)
    }

    fn numbers(&mut self, count: usize) -> Result<Vec<u32>, TokenFileError> {
        let bytes = self.take(count.saturating_mul(4))?;
        Ok(bytes.as_chunks::<4>().0.iter().copied().map(u32::from_le_bytes).collect())
    }

    fn layout(&mut self, code: u8) -> Result<TokenLayout, TokenFileError> {
        Ok(match code {
            0 => TokenLayout::Ordered { len: self.number()? },
            1 => TokenLayout::Grid { height: self.number()?, width: self.number()? },
            2 => {
                let count = size(self.number()?);
                if count > MAX_SCALES {
                    return Err(field("scales", format!("at most {MAX_SCALES}"), count.to_string()));
                }
                TokenLayout::Scales { counts: self.numbers(count)? }
            }
            _ => return Err(field("layout", "0, 1 or 2", code.to_string())),
        })
    }

    fn picture(&mut self, flags: u8) -> Result<Option<PictureInfo>, TokenFileError> {
        let tiled = flags & TILED != 0;
        if flags & PICTURE == 0 {
            return if tiled { Err(field("picture", "its size beside a tile", "none")) } else { Ok(None) };
        }
        let (width, height) = (self.number()?, self.number()?);
        let tile = if tiled { Some(self.number()?) } else { None };
        Ok(Some(PictureInfo { width, height, tile }))
    }

    /// The bytes walked over.
    fn done(&self) -> &'a [u8] {
        self.file.get(..self.at).unwrap_or_default()
    }
}

fn field(what: &'static str, expected: impl Into<String>, found: impl Into<String>) -> TokenFileError {
    TokenFileError::Field { what, expected: expected.into(), found: found.into() }
}
