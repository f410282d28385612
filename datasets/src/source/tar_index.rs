//! Where the members of a tar lie, read from its headers alone.
//!
//! The file is walked once, header by header, with a seek over every content; later a member is read directly at its
//! place. Nothing is unpacked, and memory grows only with the number of members.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use tar::{EntryType, Header, PaxExtensions};

use crate::error::{DatasetError, Result};

/// A tar consists of blocks of this many bytes.
const BLOCK: u64 = 512;
/// The most bytes that a header extension (a long name, PAX records) may have.
const MAX_EXTENSION: u64 = 1 << 20;

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
        let mut long_name: Option<Vec<u8>> = None;
        while let Some(header) = self.header()? {
            let bytes = header.entry_size().map_err(|error| self.damaged(error.to_string()))?;
            let kind = header.entry_type();
            match kind {
                EntryType::GNULongName => {
                    let mut name = self.extension(bytes)?;
                    name.truncate(name.iter().position(|&byte| byte == 0).unwrap_or(name.len()));
                    long_name = Some(name);
                }
                EntryType::XHeader => long_name = self.pax_name(bytes)?.or(long_name),
                EntryType::GNUSparse => return Err(self.damaged("a sparse member, which is not supported".to_owned())),
                EntryType::Regular | EntryType::Continuous => {
                    let name = long_name.unwrap_or_else(|| header.path_bytes().into_owned());
                    let name = String::from_utf8_lossy(&name);
                    let name = name.strip_prefix("./").unwrap_or(&name).to_owned();
                    let offset = self.at;
                    self.skip(bytes)?;
                    return Ok(Some(Member { name, offset, bytes }));
                }
                // Old archives mark folders by a slash at the end only; those and links hold no bytes that matter.
                _ => {
                    self.skip(bytes)?;
                    let describes_the_next = kind.is_gnu_longlink() || kind.is_pax_global_extensions();
                    long_name = if describes_the_next { long_name } else { None };
                }
            }
        }
        match long_name {
            None => Ok(None),
            Some(_) => Err(self.damaged("a long name without its file".to_owned())),
        }
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

    /// The content of a header extension.
    fn extension(&mut self, bytes: u64) -> Result<Vec<u8>> {
        if bytes > MAX_EXTENSION {
            return Err(self.damaged(format!("a header extension of {bytes} bytes, over the limit of {MAX_EXTENSION}")));
        }
        let start = self.at;
        self.skip(bytes)?;
        let end = std::mem::replace(&mut self.at, start);
        self.seek(start)?;
        // At most `MAX_EXTENSION`, which fits every `usize`.
        let mut content = vec![0; bytes as usize];
        self.read(&mut content)?;
        self.at = end;
        self.seek(end)?;
        Ok(content)
    }

    /// The name in PAX records, if they give one. Their sizes matter only for members too large for a plain header.
    fn pax_name(&mut self, bytes: u64) -> Result<Option<Vec<u8>>> {
        let content = self.extension(bytes)?;
        let mut name = None;
        for record in PaxExtensions::new(&content) {
            let record = record.map_err(|error| self.damaged(error.to_string()))?;
            match record.key_bytes() {
                b"path" => name = Some(record.value_bytes().to_vec()),
                b"size" => return Err(self.damaged("a member of more than 8 GiB, which is not supported".to_owned())),
                key if key.starts_with(b"GNU.sparse") => {
                    return Err(self.damaged("a sparse member, which is not supported".to_owned()));
                }
                _ => {}
            }
        }
        Ok(name)
    }

    /// Moves over `bytes` of content, padded to whole blocks, all of which have to be in the file.
    fn skip(&mut self, bytes: u64) -> Result<()> {
        let end = bytes.checked_next_multiple_of(BLOCK).and_then(|padded| self.at.checked_add(padded));
        match end.filter(|&end| end <= self.length) {
            Some(end) => self.seek(end),
            None => Err(self.damaged(format!("a member of {bytes} bytes, more than the file still has"))),
        }
    }

    fn seek(&mut self, to: u64) -> Result<()> {
        self.at = to;
        let here = self.file.stream_position().map_err(|error| DatasetError::reading(self.path, error))?;
        // A short step stays inside the buffer; positions of a file are below `i64::MAX`.
        let step = i64::try_from(to).ok().zip(i64::try_from(here).ok()).map(|(to, here)| to - here);
        let moved = match step {
            Some(step) => self.file.seek_relative(step),
            None => self.file.seek(SeekFrom::Start(to)).map(drop),
        };
        moved.map_err(|error| DatasetError::reading(self.path, error))
    }

    fn read(&mut self, into: &mut [u8]) -> Result<()> {
        self.file.read_exact(into).map_err(|error| DatasetError::reading(self.path, error))
    }

    fn damaged(&self, found: String) -> DatasetError {
        DatasetError::Tar { path: self.path.to_path_buf(), at: self.at, found }
    }
}
