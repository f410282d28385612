//! The small matrix product in the middle of the larger kernels: eight rows by 32 lanes.

use super::simd::LANES;

/// Rows of a product.
pub(crate) const ROWS: usize = 8;
/// Columns of a product: two vectors of [`LANES`](super::simd::LANES).
pub(crate) const COLUMNS: usize = 32;

/// Result of a product, row by row.
pub(crate) type Tile = [[f32; COLUMNS]; ROWS];

/// The left side of a product: value `[k, row]` stands at `k * step + row * stride`.
#[derive(Clone, Copy)]
pub(crate) struct Left<'a> {
    pub values: &'a [f32],
    pub step: usize,
    pub stride: usize,
}

impl<'a> Left<'a> {
    /// Eight rows side by side.
    pub fn packed(values: &'a [f32]) -> Self {
        Self { values, step: ROWS, stride: 1 }
    }
}

/// `tile[row][column] = sum over k of u[k, row] * v[k * v_stride + column]`, `k` from 0 to `depth`. Of the
/// columns only the first `used` count: the others hold as much, or zero.
///
/// # Panics
/// If `u` or `v` ends early.
#[inline]
pub(crate) fn product(u: Left, v: (&[f32], usize), depth: usize, used: usize, tile: &mut Tile) {
    if depth == 0 {
        *tile = [[0.0; COLUMNS]; ROWS];
        return;
    }
    assert!(u.values.len() > (depth - 1) * u.step + (ROWS - 1) * u.stride);
    assert!(v.0.len() >= (depth - 1) * v.1 + COLUMNS);
    if used <= LANES {
        for row in tile.iter_mut() {
            row[LANES..].fill(0.0);
        }
    }
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has AVX-512F; the slices are as long as just checked.
            return unsafe {
                match used <= LANES {
                    true => x86::avx512::<1>(u, v, depth, tile),
                    false => x86::avx512::<2>(u, v, depth, tile),
                }
            };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: the processor has AVX2 and FMA; the slices are as long as just checked.
            return unsafe { x86::avx2(u, v, depth, used, tile) };
        }
    }
    portable(u, v, depth, used, tile);
}

/// Two rows by eight lanes at a time: four sums of four lanes each stay in registers everywhere.
fn portable(u: Left, (v, v_stride): (&[f32], usize), depth: usize, used: usize, tile: &mut Tile) {
    const WIDTH: usize = 8;
    for row in (0..ROWS).step_by(2) {
        for lane in (0..if used <= LANES { LANES } else { COLUMNS }).step_by(WIDTH) {
            let mut sums = [[0.0f32; WIDTH]; 2];
            for k in 0..depth {
                let at = k * u.step + row * u.stride;
                let (first, second) = (u.values[at], u.values[at + u.stride]);
                let v = &v[k * v_stride + lane..][..WIDTH];
                for l in 0..WIDTH {
                    sums[0][l] += first * v[l];
                    sums[1][l] += second * v[l];
                }
            }
            tile[row][lane..lane + WIDTH].copy_from_slice(&sums[0]);
            tile[row + 1][lane..lane + WIDTH].copy_from_slice(&sums[1]);
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{COLUMNS, LANES, Left, ROWS, Tile};

    /// Eight rows by one or two vectors of sixteen lanes. With two: sixteen sums, ten loads for sixteen multiply-adds.
    ///
    /// # Safety
    /// `u` holds a value `[depth - 1, 7]`, `v` holds `(depth - 1) * v_stride + 32` values.
    #[target_feature(enable = "avx512f")]
    pub unsafe fn avx512<const VECTORS: usize>(u: Left, (v, v_stride): (&[f32], usize), depth: usize, tile: &mut Tile) {
        const { assert!(VECTORS * LANES <= COLUMNS) };
        let mut sums = [[_mm512_setzero_ps(); VECTORS]; ROWS];
        let (step, stride) = (u.step, u.stride);
        let (mut u, mut v) = (u.values.as_ptr(), v.as_ptr());
        for _ in 0..depth {
            let mut lanes = [_mm512_setzero_ps(); VECTORS];
            for (vector, lanes) in lanes.iter_mut().enumerate() {
                // SAFETY: the caller promises 32 lanes at each of `depth` places.
                *lanes = unsafe { _mm512_loadu_ps(v.add(vector * LANES)) };
            }
            for (row, sums) in sums.iter_mut().enumerate() {
                // SAFETY: the caller promises eight values at each of `depth` places.
                let factor = unsafe { _mm512_set1_ps(*u.add(row * stride)) };
                for (sum, lanes) in sums.iter_mut().zip(lanes) {
                    *sum = _mm512_fmadd_ps(factor, lanes, *sum);
                }
            }
            u = u.wrapping_add(step);
            v = v.wrapping_add(v_stride);
        }
        for (row, sums) in tile.iter_mut().zip(sums) {
            for (to, sum) in row.as_chunks_mut::<LANES>().0.iter_mut().zip(sums) {
                // SAFETY: sixteen columns.
                unsafe { _mm512_storeu_ps(to.as_mut_ptr(), sum) };
            }
        }
    }

    /// Four rows by two vectors of eight lanes at a time.
    ///
    /// # Safety
    /// As for [`avx512`].
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn avx2(u: Left, (v, v_stride): (&[f32], usize), depth: usize, used: usize, tile: &mut Tile) {
        for first in [0, ROWS / 2] {
            for lane in (0..if used <= LANES { LANES } else { COLUMNS }).step_by(LANES) {
                let mut sums = [[_mm256_setzero_ps(); 2]; ROWS / 2];
                let (step, stride) = (u.step, u.stride);
                let (mut u, mut v) = (u.values.as_ptr(), v.as_ptr());
                for _ in 0..depth {
                    // SAFETY: the caller promises 32 lanes at each of `depth` places.
                    let lanes = unsafe { [_mm256_loadu_ps(v.add(lane)), _mm256_loadu_ps(v.add(lane + 8))] };
                    for (row, sums) in sums.iter_mut().enumerate() {
                        // SAFETY: the caller promises eight values at each of `depth` places.
                        let factor = unsafe { _mm256_set1_ps(*u.add((first + row) * stride)) };
                        sums[0] = _mm256_fmadd_ps(factor, lanes[0], sums[0]);
                        sums[1] = _mm256_fmadd_ps(factor, lanes[1], sums[1]);
                    }
                    u = u.wrapping_add(step);
                    v = v.wrapping_add(v_stride);
                }
                for (row, sums) in sums.into_iter().enumerate() {
                    let at = tile[first + row][lane..].as_mut_ptr();
                    // SAFETY: sixteen columns follow `lane`.
                    unsafe {
                        _mm256_storeu_ps(at, sums[0]);
                        _mm256_storeu_ps(at.add(8), sums[1]);
                    }
                }
            }
        }
    }
}
