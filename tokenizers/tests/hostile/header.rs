//! The header of a `.tsr` file, read as FORMAT.md says and not as the reader does.

/// Makes both checksums right, so that the reader goes on to what lies behind them.
pub fn repair(bytes: &mut [u8]) {
    let Some(header) = header_bytes(bytes) else { return };
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&bytes[..header - 4]);
    bytes[header - 4..header].copy_from_slice(&checksum.clone().finalize().to_le_bytes());
    if let Some(end) = bytes.len().checked_sub(4).filter(|&end| end >= header) {
        checksum.update(&bytes[header..end]);
        bytes[end..].copy_from_slice(&checksum.finalize().to_le_bytes());
    }
}

/// Length of the header; `None` where the bytes end before it.
pub fn header_bytes(bytes: &[u8]) -> Option<usize> {
    let number = |at: usize| Some(u64::from(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?)));
    let (flags, depth, items) = (*bytes.get(5)?, u64::from(*bytes.get(6)?), number(40)?);
    let (positions, layout) = match flags & 3 {
        0 => (number(44)?, 4),
        1 => (number(44)?.checked_mul(number(48)?)?, 8),
        2 => {
            let count = usize::try_from(number(44)?).ok().filter(|&count| count <= 4096)?;
            let counts = (0..count).map(|at| number(48 + 4 * at)).collect::<Option<Vec<_>>>()?;
            (counts.iter().sum(), 4 + 4 * count)
        }
        _ => return None,
    };
    let picture = [0, 8, 16, 12][usize::from(flags >> 4 & 3)];
    let mask_bits = match flags >> 2 & 3 {
        0 => 0,
        1 => 32,
        2 => items.checked_mul((0..).find(|&bits| positions < 1 << bits)?)?,
        _ => items.checked_mul(positions)?,
    };
    let mask = usize::try_from(mask_bits.div_ceil(8)).ok()?;
    let end = (44 + layout + picture + usize::try_from(4 * depth).ok()? + 4).checked_add(mask)?;
    (end <= bytes.len()).then_some(end)
}
