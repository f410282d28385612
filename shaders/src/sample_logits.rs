//! Ids drawn from logits: checks, dispatch, launch, and the reference.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{DType, Device, Int, Shape, Tensor, TensorData, activation};
use burn_wgpu::CubeBackend;

use crate::active::{Kernel, runs};
use crate::cpu::sample_logits::uniform;
use crate::launch::{GRID_WIDTH, Rendered, launch};
use crate::{cpu, flex};

/// Which ids can be drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Filter {
    /// Logits are divided by this, or by 1e-5 where it is less.
    pub temperature: f32,
    /// Only so many of the most likely ids, and those as likely as the last of them; 0 for all.
    pub top_k: usize,
    /// Of these, from the most likely on, those before which at most this share of the probability lies; 1 for all.
    pub top_p: f32,
}

impl Default for Filter {
    /// Every id, by its own probability.
    fn default() -> Self {
        Self { temperature: 1.0, top_k: 0, top_p: 1.0 }
    }
}

/// Where random numbers come from.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "there is one in a call")]
pub enum Chance {
    /// From a counter: the same seed, step and row give the same number on every device.
    Counter {
        /// Seed of a whole sequence.
        seed: u64,
        /// Which draw of the sequence.
        step: u64,
    },
    /// These, `[rows]`, each in 0..1.
    Given(Tensor<1>),
}

/// What a call of [`sample_logits`] says beside its tensors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Logits of a row.
    pub codes: usize,
    /// Scale of guidance.
    pub scale: f32,
    /// Whether there is guidance.
    pub is_guided: bool,
    /// What logits are divided by.
    pub temperature: f32,
    /// 0 for all.
    pub top_k: usize,
    /// 1 for all.
    pub top_p: f32,
    /// Whether random numbers are given.
    pub is_given: bool,
    /// Seed of the counter.
    pub seed: u64,
    /// Draw of the counter.
    pub step: u64,
}

/// Backend side of [`sample_logits`].
#[backend_extension(Cube, Flex, Autodiff, Fusion)]
pub trait SampleLogitsOps: Backend {
    /// `conditional` and `unconditional [rows, codes]`, `given [rows]` or anything where the plan takes none.
    #[fusion(dtype = { let _ = (conditional, unconditional, given); DType::I32 }, shape = row_shape(conditional))]
    fn sample_logits_kernel(
        conditional: FloatTensor<Self>,
        unconditional: FloatTensor<Self>,
        given: FloatTensor<Self>,
        plan: Plan,
    ) -> IntTensor<Self>;
}

fn row_shape(logits: &Shape) -> Shape {
    Shape::new([logits[0]])
}

/// Draws an id for each row of logits; the logits never leave the device.
///
/// - `conditional`, `unconditional`: `[rows, codes]`; with guidance (`unconditional` is there and `scale` above 1) logits are
///   `u + scale * (c - u)`, else the conditional ones as they are
/// - returns `[rows]`, values `0..codes`: the first id, in the order of the vocabulary, whose cumulative probability exceeds the
///   random number
///
/// No gradient flows through an id. Source: the filters of LlamaGen's sampler (arXiv 2406.06525, released code); drawing in the
/// order of the vocabulary is tessera's, so that a draw can be repeated anywhere.
///
/// # Panics
/// If shapes do not fit or there are no codes: a shape error, as in any tensor operation.
pub fn sample_logits(
    conditional: Tensor<2>,
    unconditional: Option<Tensor<2>>,
    scale: f32,
    filter: Filter,
    chance: Chance,
) -> Tensor<1, Int> {
    let [rows, codes] = conditional.dims();
    let unconditional = unconditional.filter(|_| scale > 1.0);
    assert!(codes > 0, "sample_logits: no codes to draw from");
    if let Some(unconditional) = &unconditional {
        assert!(unconditional.dims() == [rows, codes], "sample_logits: {:?} for {rows} rows", unconditional.dims());
    }
    if let Chance::Given(given) = &chance {
        assert!(given.dims() == [rows], "sample_logits: random numbers {:?} for {rows} rows", given.dims());
    }
    let kernel = rows > 0 && conditional.dtype() == DType::F32 && runs(Kernel::SampleLogits, &conditional.device());
    if !kernel {
        return sample_logits_reference(conditional, unconditional, scale, filter, chance);
    }
    let (seed, step, given) = match chance {
        Chance::Counter { seed, step } => (seed, step, None),
        Chance::Given(given) => (0, 0, Some(given)),
    };
    let plan = Plan {
        codes,
        scale,
        is_guided: unconditional.is_some(),
        temperature: filter.temperature.max(1e-5),
        top_k: filter.top_k,
        top_p: filter.top_p,
        is_given: given.is_some(),
        seed,
        step,
    };
    let conditional = conditional.into_dispatch();
    let unconditional = unconditional.map_or_else(|| conditional.clone(), Tensor::into_dispatch);
    let given = given.map_or_else(|| conditional.clone(), Tensor::into_dispatch);
    Tensor::from_dispatch(Dispatch::sample_logits_kernel(conditional, unconditional, given, plan))
}

/// [`sample_logits`] in tensor operations.
pub fn sample_logits_reference(
    conditional: Tensor<2>,
    unconditional: Option<Tensor<2>>,
    scale: f32,
    filter: Filter,
    chance: Chance,
) -> Tensor<1, Int> {
    let ([rows, codes], device) = (conditional.dims(), conditional.device());
    let given = match chance {
        Chance::Given(given) => given,
        Chance::Counter { seed, step } => uniforms(seed, step, rows, &device),
    };
    let (_, probabilities) = filtered_probabilities(conditional, unconditional, scale, filter);
    let sums = probabilities.clone().cumsum(1);
    let target = given.reshape([rows, 1]) * sums.clone().slice([0..rows, codes - 1..codes]);
    let passed = sums.lower_equal(target).int().sum_dim(1).reshape([rows]);
    // Rounding can leave the target out of reach: the last id that can be drawn.
    let places = Tensor::<1, Int>::arange(0..i64::try_from(codes).unwrap_or(i64::MAX), &device).reshape([1, codes]);
    let last = (probabilities.greater_elem(0.0).int() * places).max_dim(1).reshape([rows]);
    passed.min_pair(last)
}

/// Classifier-free guidance of logits or velocities of any shape: `u + scale * (c - u)`, the conditional ones where there are no others
/// or the scale is not above 1.
///
/// Source: Ho and Salimans 2022, "Classifier-Free Diffusion Guidance" (arXiv 2207.12598).
pub fn guided<const D: usize>(conditional: Tensor<D>, unconditional: Option<Tensor<D>>, scale: f32) -> Tensor<D> {
    match unconditional {
        Some(unconditional) if scale > 1.0 => unconditional.clone() + (conditional - unconditional).mul_scalar(scale),
        _ => conditional,
    }
}

/// Logits after guidance `[rows, codes]`, and the probabilities `[rows, codes]` that temperature and filters leave of them.
pub fn filtered_probabilities(
    conditional: Tensor<2>,
    unconditional: Option<Tensor<2>>,
    scale: f32,
    filter: Filter,
) -> (Tensor<2>, Tensor<2>) {
    let [rows, codes] = conditional.dims();
    let combined = guided(conditional, unconditional, scale);
    let mut logits = combined.clone().div_scalar(filter.temperature.max(1e-5));
    if filter.top_k > 0 && filter.top_k < codes {
        let sorted = logits.clone().sort_descending(1);
        let least = sorted.slice([0..rows, filter.top_k - 1..filter.top_k]).expand([rows, codes]);
        logits = logits.clone().mask_fill(logits.lower(least), f32::NEG_INFINITY);
    }
    let mut probabilities = activation::softmax(logits, 1);
    if filter.top_p < 1.0 {
        let sorted = probabilities.clone().sort_descending(1);
        let before = sorted.clone().cumsum(1) - sorted.clone();
        // The least probability that stays; the largest always does.
        let least = sorted.mask_fill(before.greater_elem(filter.top_p), 2.0).min_dim(1).expand([rows, codes]);
        probabilities = probabilities.clone().mask_fill(probabilities.lower(least), 0.0);
        probabilities = probabilities.clone() / probabilities.sum_dim(1);
    }
    (combined, probabilities)
}

/// The random numbers `[rows]` in 0..1 of a draw from a counter.
pub fn uniforms(seed: u64, step: u64, rows: usize, device: &Device) -> Tensor<1> {
    let numbers: Vec<f32> = (0..rows).map(|row| uniform(seed, step, row as u32)).collect();
    Tensor::from_data(TensorData::new(numbers, [rows]), device)
}

pub(crate) fn rendered() -> Rendered {
    Rendered {
        name: "sample_logits",
        template: include_str!("sample_logits.wgsl"),
        values: vec![("grid_width", GRID_WIDTH)],
        workgroup: 256,
    }
}

impl SampleLogitsOps for CubeBackend {
    fn sample_logits_kernel(
        conditional: FloatTensor<Self>,
        unconditional: FloatTensor<Self>,
        given: FloatTensor<Self>,
        plan: Plan,
    ) -> IntTensor<Self> {
        let shape = row_shape(&conditional.shape());
        let rows = shape[0] as u32;
        let words = |number: u64| [number as u32, (number >> 32) as u32];
        let ([seed, seed_high], [step, step_high]) = (words(plan.seed), words(plan.step));
        let info = [
            rows,
            plan.codes as u32,
            plan.scale.to_bits(),
            plan.temperature.to_bits(),
            u32::try_from(plan.top_k).unwrap_or(u32::MAX),
            plan.top_p.to_bits(),
            u32::from(plan.is_guided) + 2 * u32::from(plan.is_given),
            seed,
            seed_high,
            step,
            step_high,
        ];
        launch(rendered(), rows, vec![conditional, unconditional, given], shape, DType::I32, &info)
    }
}

impl SampleLogitsOps for Flex {
    fn sample_logits_kernel(
        conditional: FloatTensor<Self>,
        unconditional: FloatTensor<Self>,
        given: FloatTensor<Self>,
        plan: Plan,
    ) -> IntTensor<Self> {
        let shape = row_shape(&conditional.shape());
        let [conditional, unconditional, given] = [conditional, unconditional, given].map(flex::contiguous);
        let [c, u, chances] = [&conditional, &unconditional, &given].map(flex::values);
        flex::tensor(cpu::sample_logits::sample_logits(c, u, chances, &plan), shape, DType::I32)
    }
}

impl<B: SampleLogitsOps, C: CheckpointStrategy> SampleLogitsOps for Autodiff<B, C> {
    fn sample_logits_kernel(
        conditional: FloatTensor<Self>,
        unconditional: FloatTensor<Self>,
        given: FloatTensor<Self>,
        plan: Plan,
    ) -> IntTensor<Self> {
        let [conditional, unconditional, given] = [conditional, unconditional, given].map(|x| x.into_primitive());
        B::sample_logits_kernel(conditional, unconditional, given, plan)
    }
}
