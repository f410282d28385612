//! How a file says which positions are kept.

use super::bits::{BitReader, BitWriter};
use crate::tokens::id_bits;

/// The four ways, shortest first; a file uses the first that can say what its mask `[items, positions]` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// Every position.
    All,
    /// The same number of leading positions in every item.
    Prefix(usize),
    /// A number of leading positions for each item.
    Prefixes,
    /// A mark for each position.
    Subset,
}

impl Kept {
    /// What to use for this mask.
    pub(super) fn of(mask: Option<&[bool]>, positions: usize) -> Self {
        let Some(mask) = mask.filter(|mask| mask.iter().any(|&kept| !kept)) else {
            return Self::All;
        };
        let rows = mask.chunks(positions.max(1));
        let is_prefix = |row: &[bool]| row.iter().skip(length(row)).all(|&kept| !kept);
        if !rows.clone().all(is_prefix) {
            return Self::Subset;
        }
        let mut lengths = rows.map(length);
        let first = lengths.next().unwrap_or_default();
        if lengths.all(|length| length == first) { Self::Prefix(first) } else { Self::Prefixes }
    }

    /// The number of this way in the flags.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::All => 0,
            Self::Prefix(_) => 1,
            Self::Prefixes => 2,
            Self::Subset => 3,
        }
    }

    /// Appends this mask's bytes.
    pub(super) fn write(self, mask: &[bool], positions: u32, out: &mut Vec<u8>) {
        let mut bits = BitWriter::new(out);
        let number = |count: usize| u32::try_from(count).unwrap_or(positions);
        match self {
            Self::All => (),
            Self::Prefix(length) => bits.push(number(length), 32),
            Self::Prefixes => {
                let width = length_bits(positions);
                let rows = mask.chunks(crate::token_file::size(positions));
                rows.for_each(|row| bits.push(number(length(row)), width));
            }
            Self::Subset => mask.iter().for_each(|&kept| bits.push(u32::from(kept), 1)),
        }
        bits.finish();
    }
}

/// Bytes that the mask takes in a file.
pub(super) fn stored_bytes(code: u8, items: u32, positions: u32) -> u64 {
    let items = u64::from(items);
    let bits = match code {
        0 => 0,
        1 => 32,
        2 => items * u64::from(length_bits(positions)),
        _ => items * u64::from(positions),
    };
    bits.div_ceil(8)
}

/// The mask from its bytes; `None` if these are not what a writer makes of any mask.
pub(super) fn read(code: u8, bytes: &[u8], items: usize, positions: u32) -> Option<Option<Vec<bool>>> {
    if code == 0 {
        return Some(None);
    }
    let row = crate::token_file::size(positions);
    let mut bits = BitReader::new(bytes);
    let mut mask = vec![false; items.checked_mul(row)?];
    let mut prefix = if code == 1 { bits.take(32)? } else { 0 };
    if code == 3 {
        for kept in &mut mask {
            *kept = bits.take(1)? == 1;
        }
    } else {
        for row in mask.chunks_mut(row) {
            if code == 2 {
                prefix = bits.take(length_bits(positions))?;
            }
            row.get_mut(..crate::token_file::size(prefix))?.fill(true);
        }
    }
    (Kept::of(Some(&mask), row).code() == code && bits.rest_is_zero()).then_some(Some(mask))
}

/// Bits of a number of leading positions, 0 to all of them.
fn length_bits(positions: u32) -> u32 {
    id_bits(positions.saturating_add(1))
}

fn length(row: &[bool]) -> usize {
    row.iter().take_while(|&&kept| kept).count()
}
