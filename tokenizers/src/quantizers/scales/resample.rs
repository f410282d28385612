//! Making latents coarser and finer, as matrices.

use super::Resample;

/// The matrix `[coarse, fine]`, row by row, that makes `coarse` tokens of `fine` latents.
///
/// Token `i` is the mean of the latents `floor(i fine / coarse) .. ceil((i + 1) fine / coarse)`; on a square grid, of rows and
/// columns so chosen (both numbers are then squares).
pub fn down_matrix(kind: Resample, coarse: usize, fine: usize) -> Vec<f32> {
    on_lines(kind, [coarse, fine], means)
}

/// The matrix `[fine, coarse]`, row by row, that makes `fine` latents of `coarse` tokens: linear on a line, bicubic (a = -0.75,
/// no antialiasing) on a square grid; centres half way between edges, and what lies outside is the outermost.
pub fn up_matrix(kind: Resample, coarse: usize, fine: usize) -> Vec<f32> {
    match kind {
        Resample::Linear1d => on_lines(kind, [fine, coarse], linear),
        Resample::Grid2d => on_lines(kind, [fine, coarse], bicubic),
    }
}

/// `matrix` along the line, or along both directions of the square.
fn on_lines(kind: Resample, [rows, columns]: [usize; 2], matrix: fn(usize, usize) -> Vec<f64>) -> Vec<f32> {
    match kind {
        Resample::Linear1d => matrix(rows, columns).into_iter().map(|weight| weight as f32).collect(),
        Resample::Grid2d => {
            let (to, from) = (rows.isqrt(), columns.isqrt());
            let line = matrix(to, from);
            let weight = |to: usize, at: usize| line.get(to * from + at).copied().unwrap_or(0.0);
            let cells = (0..to * to).flat_map(|cell| (0..from * from).map(move |at| (cell, at)));
            cells.map(|(cell, at)| (weight(cell / to, at / from) * weight(cell % to, at % from)) as f32).collect()
        }
    }
}

fn means(coarse: usize, fine: usize) -> Vec<f64> {
    let row = |i: usize| {
        let (start, end) = (i * fine / coarse.max(1), ((i + 1) * fine).div_ceil(coarse.max(1)));
        let weight = 1.0 / (end - start).max(1) as f64;
        (0..fine).map(move |at| if (start..end).contains(&at) { weight } else { 0.0 })
    };
    (0..coarse).flat_map(row).collect()
}

fn linear(fine: usize, coarse: usize) -> Vec<f64> {
    let last = coarse.saturating_sub(1);
    let row = |i: usize| {
        let source = ((i as f64 + 0.5) * coarse as f64 / fine as f64 - 0.5).max(0.0);
        let (low, share) = ((source.floor() as usize).min(last), source.fract());
        taps(coarse, [(low, 1.0 - share), ((low + 1).min(last), share)])
    };
    (0..fine).flat_map(row).collect()
}

fn bicubic(fine: usize, coarse: usize) -> Vec<f64> {
    const A: f64 = -0.75;
    let near = |x: f64| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let far = |x: f64| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    let last = coarse.saturating_sub(1) as i64;
    let row = |i: usize| {
        let source = (i as f64 + 0.5) * coarse as f64 / fine as f64 - 0.5;
        let (low, t) = (source.floor() as i64, source - source.floor());
        let at = |offset: i64| usize::try_from((low + offset).clamp(0, last)).unwrap_or(0);
        let weights = [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)];
        let [a, b, c, d] = weights;
        taps(coarse, [(at(-1), a), (at(0), b), (at(1), c), (at(2), d)])
    };
    (0..fine).flat_map(row).collect()
}

/// A row of zeros with these weights added.
fn taps<const N: usize>(length: usize, taps: [(usize, f64); N]) -> Vec<f64> {
    let mut row = vec![0.0; length];
    for (at, weight) in taps {
        if let Some(place) = row.get_mut(at) {
            *place += weight;
        }
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [Resample; 2] = [Resample::Linear1d, Resample::Grid2d];

    #[test]
    fn every_row_adds_up_to_one() {
        for kind in KINDS {
            for coarse in [1, 4, 9, 16, 36] {
                for matrix in [down_matrix(kind, coarse, 36), up_matrix(kind, coarse, 36)] {
                    assert_eq!(matrix.len(), coarse * 36);
                }
                let rows = |matrix: Vec<f32>, width: usize| -> Vec<f32> {
                    matrix.chunks(width).map(|row| row.iter().sum()).collect()
                };
                let (down, up) = (rows(down_matrix(kind, coarse, 36), 36), rows(up_matrix(kind, coarse, 36), coarse));
                assert!(down.into_iter().chain(up).all(|sum| (sum - 1.0).abs() < 1e-6), "{kind:?} {coarse}");
            }
        }
    }

    #[test]
    fn the_same_size_changes_nothing() {
        for kind in KINDS {
            for matrix in [down_matrix(kind, 9, 9), up_matrix(kind, 9, 9)] {
                let is_unit = |(at, &weight): (usize, &f32)| weight == f32::from(u8::from(at % 10 == 0));
                assert!(matrix.iter().enumerate().all(is_unit), "{kind:?}");
            }
        }
    }

    #[test]
    fn means_overlap_where_sizes_do_not_divide() {
        let third = 1.0 / 3.0;
        let expected = [third, third, third, 0.0, 0.0, 0.0, 0.0, third, third, third];
        assert_eq!(down_matrix(Resample::Linear1d, 2, 5), expected);
        assert_eq!(up_matrix(Resample::Linear1d, 2, 4), [1.0, 0.0, 0.75, 0.25, 0.25, 0.75, 0.0, 1.0]);
    }
}
