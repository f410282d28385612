//! [`Permutation`]: a shuffled order of any number of samples that takes no memory.
//!
//! A Feistel network permutes the numbers below a power of four; numbers that are no sample are sent through it again
//! until one is ("cycle walking"), which permutes the samples among themselves.

/// Rounds of the network; four would make it a sound pseudo-random permutation with a sound round function.
const ROUNDS: u64 = 6;
/// The least bits of a half, so that few samples are shuffled as well as many.
const MIN_HALF_BITS: u32 = 4;

/// A shuffled order of the numbers below `len`.
pub(super) struct Permutation {
    len: u64,
    half_bits: u32,
    key: u64,
}

impl Permutation {
    /// The order that `keys` decide; `len` is at least 1.
    pub(super) fn new(len: u64, keys: &[u64]) -> Self {
        let bits = u64::BITS - len.saturating_sub(1).leading_zeros();
        let key = keys.iter().fold(0, |key, &next| mix(key ^ mix(next.wrapping_add(GOLDEN))).wrapping_add(GOLDEN));
        Self { len, half_bits: bits.div_ceil(2).max(MIN_HALF_BITS), key }
    }

    /// What stands at `place`, which is below `len`.
    ///
    /// At most a few steps on average: the network's range is less than 4 times `len`, or 256.
    pub(super) fn at(&self, place: u64) -> u64 {
        if place >= self.len {
            return 0;
        }
        let mut number = self.scramble(place);
        // Ends: the cycle that began below `len` comes back to `place` at the latest.
        while number >= self.len {
            number = self.scramble(number);
        }
        number
    }

    fn scramble(&self, number: u64) -> u64 {
        let mask = (1 << self.half_bits) - 1;
        let (mut left, mut right) = ((number >> self.half_bits) & mask, number & mask);
        for round in 0..ROUNDS {
            let noise = mix(self.key ^ mix(right.wrapping_add(round << 56))) & mask;
            (left, right) = (right, left ^ noise);
        }
        (left << self.half_bits) | right
    }
}

/// The odd number nearest to 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64's finisher: every bit of the input changes about half the bits of the output.
pub(crate) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_once() {
        for len in (1..70).chain([255, 256, 257, 1000, 4096, 4097, 10_050]) {
            for key in 0..3 {
                let order = Permutation::new(len, &[key, 7]);
                let mut all: Vec<u64> = (0..len).map(|place| order.at(place)).collect();
                all.sort_unstable();
                assert!(all.into_iter().eq(0..len), "{len}");
            }
        }
    }

    #[test]
    fn orders_of_different_keys_look_independent() {
        // Places that stay the same between two random orders: 1 on average, whatever the length.
        for len in [5, 35, 1000, 9178] {
            let same = |key: u64| {
                let (a, b) = (Permutation::new(len, &[1, key]), Permutation::new(len, &[1, key + 1]));
                (0..len).filter(|&place| a.at(place) == b.at(place)).count()
            };
            let total: usize = (0..400).map(same).sum();
            assert!((300..500).contains(&total), "{len}: {total}");
        }
    }

    #[test]
    fn three_numbers_reach_all_six_orders_evenly() {
        let mut counts = std::collections::HashMap::new();
        for key in 0..6000 {
            let order = Permutation::new(3, &[key]);
            *counts.entry([order.at(0), order.at(1), order.at(2)]).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 6);
        assert!(counts.values().all(|count| (850..1150).contains(count)), "{counts:?}");
    }
}
