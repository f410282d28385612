//! Finite scalar quantization: bound, round, index and back: checks and dispatch.

use burn::tensor::{Int, Tensor, TensorData};

/// Keeps the bound strictly inside the outermost rounding boundaries; the constant of every release.
const EPSILON: f32 = 1e-3;

/// Most dimensions of a code.
pub const MAX_FSQ_DIM: usize = 16;

/// The constants of one dimension of `level` levels: half the range, the offset of even levels, the shift that makes zero
/// map to level `level / 2`, and the width that codes are divided by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FsqScale {
    /// `(level - 1) * (1 + 1e-3) / 2`.
    pub half: f32,
    /// 0.5 for an even number of levels, else 0.
    pub offset: f32,
    /// `atanh(offset / half)`.
    pub shift: f32,
    /// `level / 2`, rounded down.
    pub width: f32,
}

impl FsqScale {
    /// The constants for `level` levels, 2 or more.
    pub fn of(level: u32) -> Self {
        let half = (level as f32 - 1.0) * (1.0 + EPSILON) / 2.0;
        let offset = if level.is_multiple_of(2) { 0.5 } else { 0.0 };
        Self { half, offset, shift: (offset / half).atanh(), width: (level / 2) as f32 }
    }
}

/// Quantizes each row of `z [rows, dims]` to one of `levels[d]` levels in each dimension.
///
/// Returns the codes `[rows, dims]`, levels divided by their half width, and the indices `[rows]` with the first dimension
/// fastest. The gradient passes the rounding straight through: it is that of the bound.
///
/// Source: Mentzer et al. 2023 (arXiv 2309.15505), as FlexTok has it.
///
/// # Panics
/// If `levels` has not one entry of at least 2 for each dimension, more than [`MAX_FSQ_DIM`], or their product exceeds
/// `i32`: a shape error, as in any tensor operation.
pub fn fsq(z: Tensor<2>, levels: &[u32]) -> (Tensor<2>, Tensor<1, Int>) {
    check(z.dims()[1], levels);
    fsq_reference(z, levels)
}

/// [`fsq`] in tensor operations.
pub fn fsq_reference(z: Tensor<2>, levels: &[u32]) -> (Tensor<2>, Tensor<1, Int>) {
    let [rows, dims] = z.dims();
    let device = z.device();
    let bounded = fsq_bounded(z, levels);
    let whole = bounded.clone().round();
    let rounded = bounded.clone() + (whole.clone() - bounded).detach();
    let width = row(levels, &device, |level| FsqScale::of(level).width);
    let basis = Tensor::<1, Int>::from_data(TensorData::new(basis(levels), [dims]), &device).reshape([1, dims]);
    let digits = (whole.detach() + width.clone()).int();
    let ids = (digits * basis).sum_dim(1).reshape([rows]);
    (rounded / width, ids)
}

/// `tanh(z + shift) * half - offset`: `z [rows, dims]` bounded, before rounding.
pub fn fsq_bounded(z: Tensor<2>, levels: &[u32]) -> Tensor<2> {
    let device = z.device();
    let constant = |value: fn(FsqScale) -> f32| row(levels, &device, |level| value(FsqScale::of(level)));
    (z + constant(|scale| scale.shift)).tanh() * constant(|scale| scale.half) - constant(|scale| scale.offset)
}

/// The codes `[rows, dims]` of indices `[rows]`.
///
/// # Panics
/// As [`fsq`].
pub fn fsq_codes(ids: Tensor<1, Int>, levels: &[u32]) -> Tensor<2> {
    check(levels.len(), levels);
    fsq_codes_reference(ids, levels)
}

/// [`fsq_codes`] in tensor operations.
pub fn fsq_codes_reference(ids: Tensor<1, Int>, levels: &[u32]) -> Tensor<2> {
    let ([rows], device, dims) = (ids.dims(), ids.device(), levels.len());
    let whole = |values: Vec<i32>| {
        Tensor::<1, Int>::from_data(TensorData::new(values, [dims]), &device).reshape([1, dims]).expand([rows, dims])
    };
    let quotients = ids.reshape([rows, 1]).expand([rows, dims]) / whole(basis(levels));
    let digits = quotients % whole(levels.iter().map(|&level| level as i32).collect());
    let width = row(levels, &device, |level| FsqScale::of(level).width);
    (digits.float() - width.clone()) / width
}

/// What one step of each dimension adds to an index.
fn basis(levels: &[u32]) -> Vec<i32> {
    let next = |step: &mut i32, &level: &u32| {
        let this = *step;
        *step = step.wrapping_mul(level as i32);
        Some(this)
    };
    levels.iter().scan(1, next).collect()
}

fn row(levels: &[u32], device: &burn::tensor::Device, value: impl Fn(u32) -> f32) -> Tensor<2> {
    let values: Vec<f32> = levels.iter().map(|&level| value(level)).collect();
    Tensor::from_data(TensorData::new(values, [1, levels.len()]), device)
}

fn check(dims: usize, levels: &[u32]) {
    let codes = levels.iter().try_fold(1_i32, |codes, &level| codes.checked_mul(i32::try_from(level).ok()?));
    assert!(
        levels.len() == dims && dims <= MAX_FSQ_DIM && levels.iter().all(|&level| level >= 2) && codes.is_some(),
        "fsq: levels {levels:?} for {dims} dimensions"
    );
}
