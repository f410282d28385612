//! The header: everything but the ids.

use crc32fast::Hasher;

use super::TokenFileError;
use super::kept::{self, Kept};
use crate::token_file::{MAX_IDS, MAX_SCALES, PictureInfo, TokenFile, check_shape, ids_limit, size};
use crate::tokens::{Fingerprint, TokenLayout};

/// First bytes of every file.
pub(super) const MAGIC: [u8; 4] = *b"\x89TSR";
/// Version of files that say nothing of an overlap.
const FIRST: u8 = 1;
/// Version of files of overlapping tiles, the newest.
const OVERLAP: u8 = 2;
/// Bytes of a checksum.
pub(super) const CHECKSUM: usize = 4;

const LAYOUT: u8 = 0b0000_0011;
const KEPT: u8 = 0b0000_1100;
const KEPT_SHIFT: u32 = 2;
const PICTURE: u8 = 0b0011_0000;
const PICTURE_SHIFT: u32 = 4;
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
        if !(FIRST..=OVERLAP).contains(&version) {
            return Err(TokenFileError::Version { expected: OVERLAP.into(), found: version.into() });
        }
        if flags & UNUSED != 0 || unused != 0 {
            return Err(field("unused bits", "0", format!("flags {flags:#010b}, byte 7 {unused}")));
        }
        let fingerprint = Fingerprint(cursor.array()?);
        let items = cursor.number()?;
        let layout = cursor.layout(flags & LAYOUT)?;
        let picture = cursor.picture(version, (flags & PICTURE) >> PICTURE_SHIFT)?;
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
        let (version, form, sizes) = match *picture {
            None => (FIRST, 0, vec![]),
            Some(PictureInfo { width, height, tile: None, .. }) => (FIRST, 1, vec![width, height]),
            Some(PictureInfo { width, height, tile: Some(tile), overlap: 0 }) => (FIRST, 3, vec![width, height, tile]),
            Some(PictureInfo { width, height, tile: Some(tile), overlap }) => {
                (OVERLAP, 2, vec![width, height, tile, overlap])
            }
        };
        let flags = layout | kept.code() << KEPT_SHIFT | form << PICTURE_SHIFT;
        let Ok(depth) = u8::try_from(tokens.depth()) else {
            return Err(field("depth", "at most 255", tokens.depth().to_string()));
        };

        out.extend(MAGIC);
        out.extend([version, flags, depth, 0]);
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

    /// The picture in one of its forms. Version 2 is there for form 2 alone, so that equal content gives equal bytes.
    fn picture(&mut self, version: u8, form: u8) -> Result<Option<PictureInfo>, TokenFileError> {
        let picture = match (version, form) {
            (FIRST, 0) => return Ok(None),
            (FIRST, 1) => PictureInfo::whole(self.number()?, self.number()?),
            (FIRST, 3) => PictureInfo::tiled(self.number()?, self.number()?, self.number()?, 0),
            (OVERLAP, 2) => PictureInfo::tiled(self.number()?, self.number()?, self.number()?, self.overlap()?),
            (FIRST, _) => return Err(field("picture", "form 0, 1 or 3 in version 1", form.to_string())),
            _ => return Err(field("picture", "form 2 in version 2", form.to_string())),
        };
        Ok(Some(picture))
    }

    fn overlap(&mut self) -> Result<u32, TokenFileError> {
        match self.number()? {
            0 => Err(field("tile overlap", "at least 1 in version 2", "0")),
            overlap => Ok(overlap),
        }
    }

    /// The bytes walked over.
    fn done(&self) -> &'a [u8] {
        self.file.get(..self.at).unwrap_or_default()
    }
}

fn field(what: &'static str, expected: impl Into<String>, found: impl Into<String>) -> TokenFileError {
    TokenFileError::Field { what, expected: expected.into(), found: found.into() }
}
