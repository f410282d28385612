//! For each output position along one axis: which source positions it reads, and with which weights.

use super::filter::Filter;

/// The windows of one axis.
pub(super) struct Taps<W> {
    /// Per output position: first source position, and the end of its weights in `weights`.
    windows: Vec<(usize, usize)>,
    weights: Vec<W>,
}

impl<W> Taps<W> {
    /// Windows for `input` source and `output` target positions, both at least 1; `convert` is applied to each weight
    /// after the weights of a window were divided by their sum.
    pub(super) fn new(input: u32, output: u32, filter: Filter, convert: impl Fn(f64) -> W) -> Self {
        let scale = f64::from(input) / f64::from(output);
        let widening = scale.max(1.0);
        let support = filter.support() * widening;
        let step = 1.0 / widening;
        let mut taps = Self { windows: Vec::with_capacity(output as usize), weights: Vec::new() };
        let mut window = Vec::new();
        for position in 0..output {
            let centre = (f64::from(position) + 0.5) * scale;
            // Float casts truncate towards zero and saturate; negative starts become 0.
            let first = (centre - support + 0.5) as u32;
            let end = ((centre + support + 0.5) as u32).min(input);
            window.clear();
            window.extend((first..end).map(|x| filter.weight((f64::from(x) - centre + 0.5) * step)));
            let sum: f64 = window.iter().sum();
            let normalised = window.iter().map(|&weight| if sum == 0.0 { weight } else { weight / sum });
            taps.weights.extend(normalised.map(&convert));
            taps.windows.push((first as usize, taps.weights.len()));
        }
        taps
    }

    /// The windows in output order: first source position and weights.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &[W])> {
        (0..self.windows.len()).map(|position| self.window(position))
    }

    /// The window of one output position; empty beyond the last.
    pub(super) fn window(&self, position: usize) -> (usize, &[W]) {
        let begin = position.checked_sub(1).and_then(|before| self.windows.get(before)).map_or(0, |&(_, end)| end);
        let (first, end) = self.windows.get(position).copied().unwrap_or((0, begin));
        (first, self.weights.get(begin..end).unwrap_or(&[]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILTERS: [Filter; 4] = [Filter::Box, Filter::Bilinear, Filter::Bicubic, Filter::Lanczos3];

    #[test]
    fn weights_sum_to_one_and_windows_stay_inside() {
        for filter in FILTERS {
            for (input, output) in [(1, 1), (1, 9), (9, 1), (7, 5), (5, 7), (1000, 3), (3, 1000)] {
                let taps = Taps::new(input, output, filter, |weight| weight);
                assert_eq!(taps.iter().count(), output as usize);
                for (first, weights) in taps.iter() {
                    assert!(first + weights.len() <= input as usize && !weights.is_empty());
                    assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
                }
            }
        }
    }

    #[test]
    fn no_window_can_overflow_an_i32_of_8_bit_values_with_22_fraction_bits() {
        for filter in FILTERS {
            for input in (1..60).chain([61, 100, 613, 4096]) {
                for output in (1..60).chain([61, 100, 613, 4096]) {
                    for (_, weights) in Taps::new(input, output, filter, f64::abs).iter() {
                        assert!(weights.iter().sum::<f64>() < 1.9, "{filter:?} {input} -> {output}");
                    }
                }
            }
        }
    }
}
