//! Where the members of a tar lie, read from its headers alone.
//!
//! The file is walked once, header by header, with a seek over every content; later a member is read directly at its
//! place. Nothing is unpacked, and memory grows only with the number of members.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::Path;

use tar::{EntryType, Header, PaxExtensions};

use crate::error::{DatasetError, Result};

/// A tar consists of blocks of this many bytes.
const BLOCK: u64 = 512;
/// The most bytes that a header extension (a long name, PAX records) may have.
const MAX_EXTENSION: u64 = 1 << 20;

/// How errors call what GNU tar makes of files with holes.
const SPARSE: &str = "a sparse member, which is not supported";

/// What header extensions say about the entry after them.
#[derive(Default)]
struct Extension {
    name: Option<Vec<u8>>,
    bytes: Option<u64>,
}

/// A regular file inside a tar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Its path, without a leading `./`.
    pub name: String,
    /// Where its content begins.
    pub offset: u64,
    /// The length of its content.
    pub bytes: u64,
}

/// The regular files of the tar at `path`, in order. Of several members with one name the last counts, as when unpacking.
///
/// Folders, links and devices are passed over.
///
/// # Errors
/// Those of reading, and [`DatasetError::Tar`] for what is no tar, is damaged, is cut off (even between two members:
/// the end mark is asked for) or has sparse members.
pub(super) fn index(path: &Path) -> Result<Vec<Member>> {
    let file = File::open(path).map_err(|error| DatasetError::reading(path, error))?;
    let length = file.metadata().map_err(|error| DatasetError::reading(path, error))?.len();
    let mut walk = Walk { path, file: BufReader::new(file), at: 0, length };
    let mut members: Vec<Member> = Vec::new();
    let mut by_name: HashMap<String, usize> = HashMap::new();
    while let Some(member) = walk.next_member()? {
        match by_name.get(&member.name).and_then(|&place| members.get_mut(place)) {
            Some(earlier) => *earlier = member,
            None => {
                by_name.insert(member.name.clone(), members.len());
                members.push(member);
            }
        }
    }
    Ok(members)
}

/// A position in the tar, always at the begin of a block.
struct Walk<'a> {
    path: &'a Path,
    file: BufReader<File>,
    at: u64,
    length: u64,
}

impl Walk<'_> {
    /// The next regular file; `None` at the end mark.
    fn next_member(&mut self) -> Result<Option<Member>> {
        let mut extension = Extension::default();
        while let Some(header) = self.header()? {
            let kind = header.entry_type();
            let bytes = header.entry_size().map_err(|error| self.damaged(error.to_string()))?;
            match kind {
                EntryType::GNULongName => {
                    let mut name = self.content(bytes)?;
                    name.truncate(name.iter().position(|&byte| byte == 0).unwrap_or(name.len()));
                    extension.name = Some(name);
                    continue;
                }
                EntryType::XHeader => {
                    self.read_pax(bytes, &mut extension)?;
                    continue;
                }
                EntryType::GNULongLink | EntryType::XGlobalHeader => {
                    self.skip(bytes)?;
                    continue;
                }
                EntryType::GNUSparse => return Err(self.damaged(SPARSE.to_owned())),
                _ => {}
            }
            // What the extensions before it said is about this entry alone.
            let Extension { name, bytes: stated } = std::mem::take(&mut extension);
            let (offset, bytes) = (self.at, stated.unwrap_or(bytes));
            self.skip(bytes)?;
            if matches!(kind, EntryType::Regular | EntryType::Continuous) {
                let name = name.unwrap_or_else(|| header.path_bytes().into_owned());
                let name = String::from_utf8_lossy(&name);
                return Ok(Some(Member { name: name.strip_prefix("./").unwrap_or(&name).to_owned(), offset, bytes }));
            }
        }
        Ok(None)
    }

    /// The header at the current position, which moves behind it; `None` at the end mark.
    fn header(&mut self) -> Result<Option<Header>> {
        if self.length - self.at < BLOCK {
            let found =
                if self.at == 0 { "too few bytes for a tar" } else { "the end of the file before the end mark" };
            return Err(self.damaged(found.to_owned()));
        }
        let mut header = Header::new_old();
        self.read(header.as_mut_bytes())?;
        let block = header.as_bytes();
        if block.iter().all(|&byte| byte == 0) {
            return Ok(None);
        }
        // The sum counts its own field, bytes 148 to 155, as spaces.
        let sum =
            |range: std::ops::Range<usize>| block.get(range).unwrap_or(&[]).iter().copied().map(u32::from).sum::<u32>();
        let expected = sum(0..148) + 8 * u32::from(b' ') + sum(156..512);
        if header.cksum().ok() != Some(expected) {
            let found = match block {
                [0x1f, 0x8b, ..] => "a gzip file; decompress it",
                [0x28, 0xb5, 0x2f, 0xfd, ..] => "a zstd file; decompress it",
                [b'B', b'Z', b'h', ..] => "a bzip2 file; decompress it",
                [0xfd, b'7', b'z', b'X', b'Z', ..] => "an xz file; decompress it",
                _ => "a header whose checksum does not fit",
            };
            return Err(self.damaged(found.to_owned()));
        }
        self.at += BLOCK;
        Ok(Some(header))
    }

    /// Reads the content of a header extension.
    fn content(&mut self, bytes: u64) -> Result<Vec<u8>> {
        if bytes > MAX_EXTENSION {
            return Err(self.damaged(format!("a header extension of {bytes} bytes, over the limit of {MAX_EXTENSION}")));
        }
        let (start, end) = (self.at, self.end_of(bytes)?);
        // At most `MAX_EXTENSION`, which fits every `usize`.
        let mut content = vec![0; bytes as usize];
        self.read(&mut content)?;
        self.at = start + bytes;
        self.seek(end)?;
        Ok(content)
    }

    /// Takes name and length from PAX records, if they give them.
    fn read_pax(&mut self, bytes: u64, extension: &mut Extension) -> Result<()> {
        let content = self.content(bytes)?;
        for record in PaxExtensions::new(&content) {
            let record = record.map_err(|error| self.damaged(error.to_string()))?;
            match (record.key_bytes(), record.value_bytes()) {
                (b"path", name) => extension.name = Some(name.to_vec()),
                (b"size", digits) => {
                    let size = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
                    extension.bytes = Some(size.ok_or_else(|| self.damaged("a size that is no number".to_owned()))?);
                }
                (key, _) if key.starts_with(b"GNU.sparse") => return Err(self.damaged(SPARSE.to_owned())),
                _ => {}
            }
        }
        Ok(())
    }

    /// Moves over `bytes` of content.
    fn skip(&mut self, bytes: u64) -> Result<()> {
        let end = self.end_of(bytes)?;
        self.seek(end)
    }

    /// Where `bytes` of content, padded to whole blocks, end; all of them have to be in the file.
    fn end_of(&self, bytes: u64) -> Result<u64> {
        let end = bytes.checked_next_multiple_of(BLOCK).and_then(|padded| self.at.checked_add(padded));
        end.filter(|&end| end <= self.length)
            .ok_or_else(|| self.damaged(format!("{bytes} bytes of content, more than the file still has")))
    }

    /// Moves to `to`; a short step stays inside the buffer.
    fn seek(&mut self, to: u64) -> Result<()> {
        // Both are lengths inside a file, which are below `i64::MAX`.
        let step = to.cast_signed().wrapping_sub(self.at.cast_signed());
        self.at = to;
        self.file.seek_relative(step).map_err(|error| DatasetError::reading(self.path, error))
    }

    fn read(&mut self, into: &mut [u8]) -> Result<()> {
        self.file.read_exact(into).map_err(|error| DatasetError::reading(self.path, error))
    }

    fn damaged(&self, found: String) -> DatasetError {
        DatasetError::Tar { path: self.path.to_path_buf(), at: self.at, found }
    }
}
