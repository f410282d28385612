//! Multi-head attention under a mask that is computed from indices: checks, dispatch and launch.

mod gradient;
mod mask;
mod parts;
mod scale_ends;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::{DType, Device, Tensor};
use burn_wgpu::CubeBackend;

use crate::active::{Kernel, KernelState, kernel_status};
use crate::device::largest_buffer;
use crate::launch::{GRID_WIDTH, Rendered, launch};
pub use gradient::MaskedAttentionGradientOps;
pub use mask::AttentionMask;
pub use parts::attention_in_parts;
pub use scale_ends::{MAX_SCALES, ScaleEnds};

/// Most channels of a head that the WGSL kernel takes; more go to [`masked_attention_reference`].
pub const MAX_HEAD_DIM: usize = 128;

/// What a call of [`masked_attention`] says beside its tensors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MaskedAttentionShape {
    /// Heads side by side in the width.
    pub heads: usize,
    /// What scores are multiplied by.
    pub scale: f32,
    /// Which keys a query sees.
    pub mask: AttentionMask,
}

/// GPU side of [`masked_attention`]. It has no backward pass: a tensor on an autodiff device takes the reference, whose
/// operations have one. The CPU's side is [`MaskedAttentionGradientOps`].
#[backend_extension(Cube, Autodiff, Fusion)]
pub trait MaskedAttentionOps: Backend {
    /// `q [b, queries, w]`, `k` and `v [b, keys, w]` to `[b, queries, w]`, all f32; no dimension is zero, and a head has
    /// at most [`MAX_HEAD_DIM`] channels.
    #[fusion(dtype = q, shape = { let _ = (k, v); q.clone() })]
    fn masked_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        shape: MaskedAttentionShape,
    ) -> FloatTensor<Self>;
}

/// Attention of `heads` heads.
///
/// - `q`: `[batch, queries, width]`; `k`, `v`: `[batch, keys, width]`; heads side by side in the width
/// - returns `[batch, queries, width]`; scores are multiplied by `scale`
///
/// Neither kernel stores a mask or a matrix of scores, and both skip the keys that a whole block of queries does not see.
/// On the CPU the inputs may be views of one projection, and the gradients are written by hand; on a GPU, tensors that
/// track gradients and heads of more than [`MAX_HEAD_DIM`] channels take the reference, as does a software adapter, which
/// runs the shader no faster. There the queries go in runs whose scores fit in the device's largest buffer.
///
/// Source: Vaswani et al. 2017, "Attention Is All You Need", section 3.2.
///
/// # Panics
/// If `heads` does not divide the width, shapes do not fit, or there are more queries than keys under a mask that orders
/// positions: a shape error, as in any tensor operation.
pub fn masked_attention(
    q: Tensor<3>,
    k: Tensor<3>,
    v: Tensor<3>,
    heads: usize,
    scale: f32,
    mask: AttentionMask,
) -> Tensor<3> {
    let ([batch, queries, width], [_, keys, _]) = (q.dims(), k.dims());
    assert!(heads > 0 && width % heads == 0, "masked_attention: {heads} heads do not divide {width} channels");
    assert!(
        k.dims() == [batch, keys, width] && v.dims() == k.dims(),
        "masked_attention: keys {:?} and values {:?} do not fit queries {:?}",
        k.dims(),
        v.dims(),
        q.dims()
    );
    assert!(
        mask == AttentionMask::Full || queries <= keys,
        "masked_attention: {queries} queries for {keys} keys under {mask:?}"
    );
    let device = q.device();
    let f32_only = [q.dtype(), k.dtype(), v.dtype()].iter().all(|&dtype| dtype == DType::F32);
    let filled = f32_only && batch * queries * keys * width > 0;
    let shape = MaskedAttentionShape { heads, scale, mask };
    match kernel_status(Kernel::MaskedAttention, &device) {
        KernelState::Cpu if filled => {
            let [q, k, v] = [q, k, v].map(Tensor::into_dispatch);
            let (y, _) = Dispatch::masked_attention_with_logarithms(q, k, v, shape);
            Tensor::from_dispatch(y)
        }
        KernelState::Wgsl if filled && !device.is_autodiff() && width / heads <= MAX_HEAD_DIM && mask.has_shader() => {
            let [q, k, v] = [q, k, v].map(Tensor::into_dispatch);
            Tensor::from_dispatch(Dispatch::masked_attention(q, k, v, shape))
        }
        _ => attention_in_parts(q, k, v, None, shape, largest_buffer(&device)),
    }
}

/// [`masked_attention`] in which keys count several times: `log_weights [batch, keys]` holds the logarithm of how often,
/// which may be no whole number.
///
/// A sequence in which many positions are alike, and stay alike through every layer, so needs one of them. On a GPU this is
/// the reference; see [`counts_keys`].
///
/// # Panics
/// As [`masked_attention`].
pub fn weighted_attention(
    q: Tensor<3>,
    k: Tensor<3>,
    v: Tensor<3>,
    log_weights: Tensor<2>,
    heads: usize,
    scale: f32,
    mask: AttentionMask,
) -> Tensor<3> {
    let ([batch, queries, width], [_, keys, _]) = (q.dims(), k.dims());
    assert!(
        heads > 0 && width % heads == 0 && k.dims() == [batch, keys, width] && v.dims() == k.dims(),
        "weighted_attention: queries {:?}, keys {:?} and values {:?} of {heads} heads",
        q.dims(),
        k.dims(),
        v.dims()
    );
    assert!(
        log_weights.dims() == [batch, keys] && (mask == AttentionMask::Full || queries <= keys),
        "weighted_attention: weights {:?} for {queries} queries and {keys} keys under {mask:?}",
        log_weights.dims()
    );
    let f32_only = [q.dtype(), k.dtype(), v.dtype(), log_weights.dtype()].iter().all(|&dtype| dtype == DType::F32);
    let filled = f32_only && batch * queries * keys * width > 0;
    if filled && !q.device().is_autodiff() && counts_keys(&q.device()) {
        let [q, k, v] = [q, k, v].map(Tensor::into_dispatch);
        let shape = MaskedAttentionShape { heads, scale, mask };
        return Tensor::from_dispatch(Dispatch::weighted_attention(q, k, v, log_weights.into_dispatch(), shape));
    }
    let most = largest_buffer(&q.device());
    attention_in_parts(q, k, v, Some(log_weights), MaskedAttentionShape { heads, scale, mask }, most)
}

/// Whether [`weighted_attention`] has a kernel on this device, so that it is worth leaving positions out for it.
pub fn counts_keys(device: &Device) -> bool {
    kernel_status(Kernel::MaskedAttention, device) == KernelState::Cpu
}

/// [`masked_attention`] as permutations and burn's attention, with the mask written out.
pub fn masked_attention_reference(
    q: Tensor<3>,
    k: Tensor<3>,
    v: Tensor<3>,
    heads: usize,
    scale: f32,
    mask: AttentionMask,
) -> Tensor<3> {
    weighted_attention_reference(q, k, v, None, heads, scale, mask)
}

/// [`weighted_attention`] as [`masked_attention_reference`].
pub fn weighted_attention_reference(
    q: Tensor<3>,
    k: Tensor<3>,
    v: Tensor<3>,
    log_weights: Option<Tensor<2>>,
    heads: usize,
    scale: f32,
    mask: AttentionMask,
) -> Tensor<3> {
    attention_in_parts(q, k, v, log_weights, MaskedAttentionShape { heads, scale, mask }, None)
}

/// A mask as the template knows it; what else it says is an argument.
#[derive(Clone, Copy)]
pub(crate) enum Rule {
    Full = 0,
    Causal = 1,
    Registers = 2,
    Neighbours = 3,
    Blocks = 4,
    Scales = 5,
}

impl Rule {
    pub(crate) const ALL: [Rule; 6] =
        [Rule::Full, Rule::Causal, Rule::Registers, Rule::Neighbours, Rule::Blocks, Rule::Scales];
}

pub(crate) fn rendered(dim: usize, rule: Rule) -> Rendered {
    let dim = u32::try_from(dim.clamp(1, MAX_HEAD_DIM)).unwrap_or(1);
    // Queries, a tile of keys, maxima and weights stay under 16 KiB of workgroup memory.
    let (queries_per_lane, keys_per_lane) = match dim {
        ..=64 => (4, 2),
        65..=104 => (2, 2),
        _ => (2, 1),
    };
    Rendered {
        name: "masked_attention",
        template: include_str!("masked_attention.wgsl"),
        values: vec![
            ("dim", dim),
            ("mask", rule as u32),
            ("queries_per_lane", queries_per_lane),
            ("keys_per_lane", keys_per_lane),
            ("grid_width", GRID_WIDTH),
        ],
        workgroup: 64,
    }
}

/// Queries that a workgroup of [`rendered`] takes.
fn queries_of_a_workgroup(kernel: &Rendered) -> u32 {
    let per_lane = kernel.values.iter().find(|(label, _)| *label == "queries_per_lane");
    8 * per_lane.map_or(1, |(_, value)| *value)
}

impl MaskedAttentionOps for CubeBackend {
    fn masked_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        shape: MaskedAttentionShape,
    ) -> FloatTensor<Self> {
        let MaskedAttentionShape { heads, scale, mask } = shape;
        let (shape, keys) = (q.shape(), k.shape()[1]);
        let (rule, sizes) = match mask {
            AttentionMask::Full => (Rule::Full, [0; 3]),
            AttentionMask::Causal => (Rule::Causal, [0; 3]),
            AttentionMask::Registers { patches } => (Rule::Registers, [patches.min(keys), 0, 0]),
            AttentionMask::Neighbours { first, height, width } => (Rule::Neighbours, [first, height, width]),
            AttentionMask::Blocks { size } => (Rule::Blocks, [size.clamp(1, keys), 0, 0]),
            AttentionMask::Scales { first, is_causal, ends } => {
                (Rule::Scales, [first.min(keys), ends.ends().len(), usize::from(is_causal)])
            }
            AttentionMask::ScaleDiagonals { .. } => {
                unreachable!("masked_attention sends masks without a shader to its reference")
            }
        };
        let kernel = rendered(shape[2] / heads, rule);
        let blocks = (shape[1] as u32).div_ceil(queries_of_a_workgroup(&kernel));
        let workgroups = (shape[0] * heads) as u32 * blocks;
        let [queries, keys, heads] = [shape[1], keys, heads].map(|x| x as u32);
        let [first, height, width] = sizes.map(|x| u32::try_from(x).unwrap_or(u32::MAX >> 1));
        let mut info = vec![workgroups, queries, keys, heads, first, scale.to_bits(), height, width];
        if let AttentionMask::Scales { ends, .. } = mask {
            info.extend(ends.ends());
        }
        launch(kernel, workgroups, vec![q, k, v], shape, DType::F32, &info)
    }
}

impl<B: MaskedAttentionOps, C: CheckpointStrategy> MaskedAttentionOps for Autodiff<B, C> {
    fn masked_attention(
        _q: FloatTensor<Self>,
        _k: FloatTensor<Self>,
        _v: FloatTensor<Self>,
        _shape: MaskedAttentionShape,
    ) -> FloatTensor<Self> {
        unreachable!("masked_attention sends tensors on an autodiff GPU to its reference")
    }
}
