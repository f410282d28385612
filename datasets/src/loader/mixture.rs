//! [`Mixture`]: which source a position belongs to, by weight, without counting from the beginning.
//!
//! A table of 4096 places, filled so that every source is spread evenly, repeats for ever.

use crate::error::{DatasetError, Result};

/// Places of the table; shares of the sources are multiples of its inverse.
const PLACES: u64 = 4096;

/// The table.
pub(super) struct Mixture {
    /// Per place: the source, and how often it came before in the table.
    places: Vec<(usize, u64)>,
    /// How often each source comes in the table, at least once.
    counts: Vec<u64>,
}

impl Mixture {
    /// For positive, finite weights.
    ///
    /// # Errors
    /// [`DatasetError::Setting`] for more sources than places.
    pub(super) fn new(weights: &[f64]) -> Result<Self> {
        if weights.len() as u64 > PLACES {
            return Err(DatasetError::Setting {
                setting: "sources",
                expected: "at most 4096 data sources",
                found: weights.len().to_string(),
            });
        }
        let counts = shares(weights);
        // Every step gives each source its share as credit; who has most gets the place and pays for a whole round.
        let mut credits = vec![0i64; counts.len()];
        let mut before = vec![0u64; counts.len()];
        let mut places = Vec::with_capacity(PLACES as usize);
        for _ in 0..PLACES {
            for (credit, &count) in credits.iter_mut().zip(&counts) {
                *credit += count as i64;
            }
            let richest = (0..credits.len()).rev().max_by_key(|&source| credits.get(source)).unwrap_or(0);
            if let (Some(credit), Some(before)) = (credits.get_mut(richest), before.get_mut(richest)) {
                places.push((richest, *before));
                *credit -= PLACES as i64;
                *before += 1;
            }
        }
        Ok(Self { places, counts })
    }

    /// The source at `position`, and how many of its samples came before.
    pub(super) fn at(&self, position: u128) -> (usize, u128) {
        let (round, place) = (position / u128::from(PLACES), (position % u128::from(PLACES)) as usize);
        let (source, before) = self.places.get(place).copied().unwrap_or((0, 0));
        (source, round * u128::from(self.counts.get(source).copied().unwrap_or(0)) + u128::from(before))
    }

    /// How many samples of each source come before `position`.
    pub(super) fn seen(&self, position: u128) -> Vec<u128> {
        let (round, place) = (position / u128::from(PLACES), (position % u128::from(PLACES)) as usize);
        let mut seen: Vec<u128> = self.counts.iter().map(|&count| round * u128::from(count)).collect();
        for &(source, _) in self.places.iter().take(place) {
            if let Some(seen) = seen.get_mut(source) {
                *seen += 1;
            }
        }
        seen
    }
}

/// [`PLACES`] divided by weight, at least one for everybody.
fn shares(weights: &[f64]) -> Vec<u64> {
    // Divided first, so that the sum of enormous weights stays finite.
    let largest = weights.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let total: f64 = weights.iter().map(|weight| weight / largest).sum();
    let exact: Vec<f64> = weights.iter().map(|weight| weight / largest / total * PLACES as f64).collect();
    let mut counts: Vec<u64> = exact.iter().map(|&share| (share.floor() as u64).max(1)).collect();
    // One by one to whoever is furthest below its due, or from whoever is furthest above.
    loop {
        let sum: u64 = counts.iter().sum();
        let lack = |&(source, share): &(usize, f64)| share - counts.get(source).map_or(0.0, |&count| count as f64);
        let by_lack = |a: &(usize, f64), b: &(usize, f64)| lack(a).total_cmp(&lack(b));
        let all = exact.iter().copied().enumerate();
        let (chosen, grows) = match sum.cmp(&PLACES) {
            std::cmp::Ordering::Equal => return counts,
            std::cmp::Ordering::Less => (all.max_by(by_lack), true),
            std::cmp::Ordering::Greater => {
                let spare = |&(source, _): &(usize, f64)| counts.get(source).is_some_and(|&count| count > 1);
                (all.filter(spare).min_by(by_lack), false)
            }
        };
        let Some(count) = chosen.and_then(|(source, _)| counts.get_mut(source)) else { return counts };
        if grows { *count += 1 } else { *count -= 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_those_of_a_walk_from_the_beginning() {
        let mixture = Mixture::new(&[1.0, 2.5, 0.0001, 7.0]).unwrap();
        let mut seen = vec![0u128; 4];
        for position in 0..3 * u128::from(PLACES) {
            assert_eq!(mixture.seen(position), seen);
            let (source, before) = mixture.at(position);
            assert_eq!(before, seen[source]);
            seen[source] += 1;
        }
        assert!(seen.iter().all(|&count| count >= 3), "{seen:?}");
    }

    #[test]
    fn every_stretch_has_the_shares_of_the_whole() {
        let mixture = Mixture::new(&[1.0, 3.0]).unwrap();
        for start in (0..5000).step_by(7) {
            let ones = (start..start + 64).filter(|&position| mixture.at(position).0 == 0).count();
            assert!((15..=17).contains(&ones), "{ones}");
        }
    }

    #[test]
    fn shares_sum_to_the_whole_whatever_the_weights() {
        let cases: [&[f64]; 6] = [
            &[1.0],
            &[1e308, 1e308, 1e-308],
            &[1.0; 4096],
            &[f64::MIN_POSITIVE; 3],
            &[1000.0, 1.0, 1.0, 1.0],
            &[0.3, 0.3, 0.4],
        ];
        for weights in cases {
            let counts = shares(weights);
            assert_eq!(counts.iter().sum::<u64>(), PLACES);
            assert!(counts.iter().all(|&count| count > 0));
        }
        assert!(Mixture::new(&[1.0; 4097]).is_err());
    }
}
