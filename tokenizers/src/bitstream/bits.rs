//! Numbers of a few bits one after the other: the lowest bit of a number comes first, into the lowest free bit.

/// Appends numbers to bytes.
pub(super) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    /// Bits not yet written, lowest first; fewer than 32 between calls.
    pending: u64,
    count: u32,
}

impl<'a> BitWriter<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, pending: 0, count: 0 }
    }

    /// Appends `number`, which must fit into `bits` (0 to 32) bits.
    #[inline]
    pub(super) fn push(&mut self, number: u32, bits: u32) {
        debug_assert!(bits <= 32 && u64::from(number) < 1 << bits, "{number} in {bits} bits");
        self.pending |= u64::from(number) << self.count;
        self.count += bits;
        if self.count >= 32 {
            let [a, b, c, d, ..] = self.pending.to_le_bytes();
            self.out.extend_from_slice(&[a, b, c, d]);
            self.pending >>= 32;
            self.count -= 32;
        }
    }

    /// Fills the last byte with zero bits.
    pub(super) fn finish(self) {
        let [a, b, c, d, ..] = self.pending.to_le_bytes();
        let bytes = [a, b, c, d].into_iter().zip((0..self.count).step_by(8));
        self.out.extend(bytes.map(|(byte, _)| byte));
    }
}

/// Takes numbers from bytes.
pub(super) struct BitReader<'a> {
    rest: &'a [u8],
    pending: u64,
    count: u32,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, pending: 0, count: 0 }
    }

    /// The next `bits` (0 to 32) bits; `None` where fewer are left.
    #[inline]
    pub(super) fn take(&mut self, bits: u32) -> Option<u32> {
        debug_assert!(bits <= 32);
        if self.count < bits {
            self.fill();
            if self.count < bits {
                return None;
            }
        }
        let number = self.pending & ((1 << bits) - 1);
        self.pending >>= bits;
        self.count -= bits;
        u32::try_from(number).ok()
    }

    /// With fewer than 32 bits pending: 32 more, or what is left.
    #[inline]
    fn fill(&mut self) {
        if let Some((chunk, rest)) = self.rest.split_first_chunk::<4>() {
            self.pending |= u64::from(u32::from_le_bytes(*chunk)) << self.count;
            self.count += 32;
            self.rest = rest;
            return;
        }
        for &byte in self.rest {
            self.pending |= u64::from(byte) << self.count;
            self.count += 8;
        }
        self.rest = &[];
    }

    /// Whether all bits that are left are 0.
    pub(super) fn rest_is_zero(&self) -> bool {
        self.pending == 0 && self.rest.iter().all(|&byte| byte == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_bit_comes_first() {
        let mut out = vec![0xff];
        let mut writer = BitWriter::new(&mut out);
        writer.push(0b101, 3);
        writer.push(0, 0);
        writer.push(0b1_0000_0001, 9);
        writer.finish();
        assert_eq!(out, [0xff, 0b0000_1101, 0b0000_1000]);
    }

    #[test]
    fn numbers_of_every_width_come_back() {
        let numbers = |bits: u32| {
            (0..70_u32).map(move |n| {
                let spread = u64::from(n.wrapping_mul(0x9e37_79b9) ^ n);
                u32::try_from(spread & ((1 << bits) - 1)).unwrap()
            })
        };
        let mut out = Vec::new();
        let mut writer = BitWriter::new(&mut out);
        (0..=32).for_each(|bits| numbers(bits).for_each(|number| writer.push(number, bits)));
        writer.finish();
        assert_eq!(out.len(), (0..=32_usize).map(|bits| bits * 70).sum::<usize>().div_ceil(8));
        let mut reader = BitReader::new(&out);
        (0..=32).for_each(|bits| numbers(bits).for_each(|number| assert_eq!(reader.take(bits), Some(number))));
        assert!(reader.rest_is_zero());
        assert_eq!((reader.take(8), reader.take(0)), (None, Some(0)));
    }

    #[test]
    fn set_bits_after_the_last_number_are_seen() {
        let mut reader = BitReader::new(&[0b0001_0111]);
        assert_eq!(reader.take(3), Some(7));
        assert!(!reader.rest_is_zero());
    }
}
