//! Which row of a modulation each position takes.

/// Values that one task takes, in whole rows.
const PART: usize = 16 * 1024;

/// Sizes of `x [batch, length, channels]` and of its modulation `[batch, kinds, channels]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Modulation {
    /// Positions of an item.
    pub length: usize,
    /// Values of a position.
    pub channels: usize,
    /// Kinds of position, 1 or 2.
    pub kinds: usize,
    /// With two kinds, how many positions are of kind 0; those after them are of kind 1.
    pub first: usize,
}

/// Neighbouring positions that take the same row of the modulation.
pub(super) struct Part<'a> {
    /// Where `out` starts in the whole.
    pub start: usize,
    /// The row of the modulation.
    pub row: usize,
    /// Whole positions of the output.
    pub out: &'a mut [f32],
}

impl Modulation {
    /// Cuts an output `[batch, length, channels]` into parts, in order and independent of the number of threads.
    pub(super) fn parts<'a>(&self, out: &'a mut [f32]) -> Vec<Part<'a>> {
        let largest = (PART / self.channels).max(1) * self.channels;
        let boundary = if self.kinds == 2 { self.first } else { self.length } * self.channels;
        let (mut parts, mut start) = (Vec::new(), 0);
        for (item, out) in out.chunks_mut(self.length * self.channels).enumerate() {
            let (of_first, of_second) = out.split_at_mut(boundary);
            for (kind, out) in [of_first, of_second].into_iter().enumerate() {
                for out in out.chunks_mut(largest) {
                    let count = out.len();
                    parts.push(Part { start, row: item * self.kinds + kind, out });
                    start += count;
                }
            }
        }
        parts
    }

    /// Row `row` of a modulation.
    pub(super) fn row<'a>(&self, modulation: &'a [f32], row: usize) -> &'a [f32] {
        &modulation[row * self.channels..][..self.channels]
    }

    /// Adds what each part found for its row, in the order of the parts, so that sums are the same every time.
    pub(super) fn add_up(&self, rows: usize, found: Vec<(usize, Vec<f32>)>) -> Vec<f32> {
        let mut total = vec![0.0; rows * self.channels];
        for (row, sums) in found {
            let total = &mut total[row * self.channels..][..self.channels];
            total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::Modulation;

    #[test]
    fn parts_cover_everything_and_cross_no_boundary() {
        for (kinds, first) in [(1, 0), (2, 0), (2, 3), (2, 50)] {
            let modulation = Modulation { length: 50, channels: 700, kinds, first };
            let mut out = vec![0.0; 2 * 50 * 700];
            let mut next = 0;
            for part in modulation.parts(&mut out) {
                assert_eq!(part.start, next);
                next += part.out.len();
                for at in (part.start..next).step_by(700) {
                    let (item, position) = (at / 700 / 50, at / 700 % 50);
                    assert_eq!(part.row, item * kinds + usize::from(kinds == 2 && position >= first));
                }
            }
            assert_eq!(next, out.len());
        }
    }
}
