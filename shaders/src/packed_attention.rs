//! Self-attention on a packed projection: checks and dispatch. A CPU kernel; a GPU takes burn's attention.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{DType, Shape, Tensor, module};

use crate::active::{Kernel, runs};
use crate::cpu::attention::PackedGeometry;
use crate::device::largest_buffer;
use crate::{AttentionMask, MaskedAttentionShape, attention_in_parts, cpu, flex};

/// Backend side of [`packed_attention`].
#[backend_extension(Flex, Autodiff)]
pub trait PackedAttentionOps: Backend {
    /// `qkv [b, n, 3 * w]` to the output `[b, n, w]` and the logarithms `[b, heads, n]` of the softmax denominators.
    fn packed_attention(qkv: FloatTensor<Self>, heads: usize) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// The gradient of `qkv`.
    fn packed_attention_backward(
        qkv: FloatTensor<Self>,
        y: FloatTensor<Self>,
        logarithms: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        heads: usize,
    ) -> FloatTensor<Self>;
}

/// Multi-head self-attention of every position to every other, on a packed projection.
///
/// - `qkv`: `[batch, length, 3 * width]`: queries, keys, values; heads side by side inside each
/// - returns `[batch, length, width]`; scores are scaled by `1 / sqrt(width / heads)`
///
/// On the CPU nothing is copied apart but one head's keys and values, and no matrix of scores is stored, forward or
/// backward; see [`cpu::attention`](crate::cpu::attention).
///
/// # Panics
/// If `3 * heads` does not divide the last dimension: a shape error, as in any tensor operation.
pub fn packed_attention(qkv: Tensor<3>, heads: usize) -> Tensor<3> {
    let [_, _, packed] = qkv.dims();
    assert!(
        heads > 0 && packed % (3 * heads) == 0,
        "packed_attention: {packed} channels are no three times {heads} heads"
    );
    if qkv.dtype() == DType::F32 && runs(Kernel::PackedAttention, &qkv.device()) {
        let (y, _) = Dispatch::packed_attention(qkv.into_dispatch(), heads);
        Tensor::from_dispatch(y)
    } else {
        let most = largest_buffer(&qkv.device());
        packed_attention_in_parts(qkv, heads, most)
    }
}

/// [`packed_attention_reference`], or where its scores `[batch, heads, length, length]` would take more than `most` bytes, the same
/// in runs of queries that take less.
pub fn packed_attention_in_parts(qkv: Tensor<3>, heads: usize, most: Option<u64>) -> Tensor<3> {
    let [batch, length, packed] = qkv.dims();
    let (width, scores) = (packed / 3, 4 * (batch * heads) as u64 * (length as u64).pow(2));
    if most.is_none_or(|most| scores <= most) {
        return packed_attention_reference(qkv, heads);
    }
    let part = |index: usize| qkv.clone().narrow(2, index * width, width);
    let scale = 1.0 / (width as f32 / heads.max(1) as f32).sqrt();
    let shape = MaskedAttentionShape { heads, scale, mask: AttentionMask::Full };
    attention_in_parts(part(0), part(1), part(2), None, shape, most)
}

/// [`packed_attention`] as permutations and burn's attention.
pub fn packed_attention_reference(qkv: Tensor<3>, heads: usize) -> Tensor<3> {
    let [batch, length, packed] = qkv.dims();
    let width = packed / 3;
    let parts = qkv.reshape([batch, length, 3, heads, width / heads]).permute([2, 0, 3, 1, 4]);
    let part = |index: usize| -> Tensor<4> { parts.clone().slice([index..index + 1]).squeeze_dim(0) };
    let options = AttentionModuleOptions::default();
    let attended = module::attention(part(0), part(1), part(2), None, None, options);
    attended.swap_dims(1, 2).reshape([batch, length, width])
}

fn geometry(shape: &Shape, heads: usize) -> PackedGeometry {
    PackedGeometry { batch: shape[0], length: shape[1], heads, dim: shape[2] / 3 / heads }
}

impl PackedAttentionOps for Flex {
    fn packed_attention(qkv: FloatTensor<Self>, heads: usize) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let qkv = flex::contiguous(qkv);
        let geometry = geometry(&qkv.shape(), heads);
        let (y, logarithms) = cpu::attention::packed_attention(flex::values(&qkv), &geometry);
        let PackedGeometry { batch, length, heads, dim } = geometry;
        (
            flex::tensor(y, Shape::new([batch, length, heads * dim]), DType::F32),
            flex::tensor(logarithms, Shape::new([batch, heads, length]), DType::F32),
        )
    }

    fn packed_attention_backward(
        qkv: FloatTensor<Self>,
        y: FloatTensor<Self>,
        logarithms: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        heads: usize,
    ) -> FloatTensor<Self> {
        let [qkv, y, logarithms, grad] = [qkv, y, logarithms, grad].map(flex::contiguous);
        let geometry = geometry(&qkv.shape(), heads);
        let gradient = cpu::attention::packed_attention_backward(
            flex::values(&qkv),
            flex::values(&y),
            flex::values(&logarithms),
            flex::values(&grad),
            &geometry,
        );
        flex::tensor(gradient, qkv.shape(), DType::F32)
    }
}

impl<B: PackedAttentionOps, C: CheckpointStrategy> PackedAttentionOps for Autodiff<B, C> {
    fn packed_attention(qkv: FloatTensor<Self>, heads: usize) -> (FloatTensor<Self>, FloatTensor<Self>) {
        match PackedAttention.prepare::<C>([qkv.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let saved = prep.checkpoint(&qkv);
                let (y, logarithms) = B::packed_attention(qkv.into_primitive(), heads);
                let constant = Self::from_inner(logarithms.clone());
                (prep.finish((saved, y.clone(), logarithms, heads), y), constant)
            }
            OpsKind::UnTracked(prep) => {
                let (y, logarithms) = B::packed_attention(qkv.into_primitive(), heads);
                (prep.finish(y), Self::from_inner(logarithms))
            }
        }
    }

    fn packed_attention_backward(
        _qkv: FloatTensor<Self>,
        _y: FloatTensor<Self>,
        _logarithms: FloatTensor<Self>,
        _grad: FloatTensor<Self>,
        _heads: usize,
    ) -> FloatTensor<Self> {
        unreachable!("gradients are computed on the inner backend")
    }
}

#[derive(Debug)]
struct PackedAttention;

impl<B: PackedAttentionOps> Backward<B, 1> for PackedAttention {
    type State = (NodeId, FloatTensor<B>, FloatTensor<B>, usize);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, saved: &mut Checkpointer) {
        let (qkv, y, logarithms, heads) = ops.state;
        let qkv = saved.retrieve_node_output::<FloatTensor<B>>(qkv);
        unary::<B, _>(ops.parents, ops.node, grads, |grad| {
            B::packed_attention_backward(qkv, y, logarithms, grad, heads)
        });
    }
}
