//! The CPU kernel of masked attention with its written gradients.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Backend, Flex, TensorMetadata, backend_extension};
use burn::tensor::{DType, Shape};

use super::MaskedAttentionShape;
use crate::cpu::attention::{AttentionGeometry, attention, attention_backward};
use crate::flex;

/// CPU side of [`masked_attention`](crate::masked_attention), and its gradients.
#[backend_extension(Flex, Autodiff)]
pub trait MaskedAttentionGradientOps: Backend {
    /// `q [b, queries, w]`, `k` and `v [b, keys, w]` to the output `[b, queries, w]` and the logarithms
    /// `[b, heads, queries]` of the softmax denominators; all f32, and no dimension is zero.
    fn masked_attention_with_logarithms(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        shape: MaskedAttentionShape,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// The output alone, with `log_weights [b, keys]` added to the scores of each key. It has no backward pass.
    fn weighted_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        log_weights: FloatTensor<Self>,
        shape: MaskedAttentionShape,
    ) -> FloatTensor<Self>;

    /// The gradients of `q`, `k` and `v` from that of the output `y`.
    fn masked_attention_backward(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        y: FloatTensor<Self>,
        logarithms: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        shape: MaskedAttentionShape,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

fn geometry(q: &Shape, k: &Shape, shape: MaskedAttentionShape) -> AttentionGeometry {
    let MaskedAttentionShape { heads, scale, mask } = shape;
    AttentionGeometry { batch: q[0], queries: q[1], keys: k[1], heads, dim: q[2] / heads, scale, mask }
}

impl MaskedAttentionGradientOps for Flex {
    fn masked_attention_with_logarithms(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        shape: MaskedAttentionShape,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [q, k, v] = [q, k, v].map(flex::whole_rows);
        let geometry = geometry(&q.shape(), &k.shape(), shape);
        let (y, logarithms) = attention([&q, &k, &v].map(flex::placed), None, &geometry);
        let rows = Shape::new([geometry.batch, geometry.heads, geometry.queries]);
        (flex::tensor(y, q.shape(), DType::F32), flex::tensor(logarithms, rows, DType::F32))
    }

    fn weighted_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        log_weights: FloatTensor<Self>,
        shape: MaskedAttentionShape,
    ) -> FloatTensor<Self> {
        let ([q, k, v], weights) = ([q, k, v].map(flex::whole_rows), flex::contiguous(log_weights));
        let geometry = geometry(&q.shape(), &k.shape(), shape);
        let (y, _) = attention([&q, &k, &v].map(flex::placed), Some(flex::values(&weights)), &geometry);
        flex::tensor(y, q.shape(), DType::F32)
    }

    fn masked_attention_backward(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        y: FloatTensor<Self>,
        logarithms: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        shape: MaskedAttentionShape,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [q, k, v] = [q, k, v].map(flex::whole_rows);
        let [y, logarithms, grad] = [y, logarithms, grad].map(flex::contiguous);
        let [of_q, of_k, of_v] = attention_backward(
            [&q, &k, &v].map(flex::placed),
            flex::values(&y),
            flex::values(&logarithms),
            flex::values(&grad),
            &geometry(&q.shape(), &k.shape(), shape),
        );
        (
            flex::tensor(of_q, q.shape(), DType::F32),
            flex::tensor(of_k, k.shape(), DType::F32),
            flex::tensor(of_v, v.shape(), DType::F32),
        )
    }
}

impl<B: MaskedAttentionGradientOps, C: CheckpointStrategy> MaskedAttentionGradientOps for Autodiff<B, C> {
    fn masked_attention_with_logarithms(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        shape: MaskedAttentionShape,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        match MaskedAttention.prepare::<C>([q.node(), k.node(), v.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let saved = [&q, &k, &v].map(|input| prep.checkpoint(input));
                let [q, k, v] = [q, k, v].map(|input| input.into_primitive());
                let (y, logarithms) = B::masked_attention_with_logarithms(q, k, v, shape);
                let constant = Self::from_inner(logarithms.clone());
                (prep.finish((saved, y.clone(), logarithms, shape), y), constant)
            }
            OpsKind::UnTracked(prep) => {
                let [q, k, v] = [q, k, v].map(|input| input.into_primitive());
                let (y, logarithms) = B::masked_attention_with_logarithms(q, k, v, shape);
                (prep.finish(y), Self::from_inner(logarithms))
            }
        }
    }

    fn weighted_attention(
        _q: FloatTensor<Self>,
        _k: FloatTensor<Self>,
        _v: FloatTensor<Self>,
        _log_weights: FloatTensor<Self>,
        _shape: MaskedAttentionShape,
    ) -> FloatTensor<Self> {
        unreachable!("weighted_attention sends tensors on an autodiff device to its reference")
    }

    fn masked_attention_backward(
        _q: FloatTensor<Self>,
        _k: FloatTensor<Self>,
        _v: FloatTensor<Self>,
        _y: FloatTensor<Self>,
        _logarithms: FloatTensor<Self>,
        _grad: FloatTensor<Self>,
        _shape: MaskedAttentionShape,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("gradients are computed on the inner backend")
    }
}

#[derive(Debug)]
struct MaskedAttention;

impl<B: MaskedAttentionGradientOps> Backward<B, 3> for MaskedAttention {
    type State = ([NodeId; 3], FloatTensor<B>, FloatTensor<B>, MaskedAttentionShape);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, saved: &mut Checkpointer) {
        let (inputs, y, logarithms, shape) = ops.state;
        let [q, k, v] = inputs.map(|input| saved.retrieve_node_output::<FloatTensor<B>>(input));
        let grad = grads.consume::<B>(&ops.node);
        let (of_q, of_k, of_v) = B::masked_attention_backward(q, k, v, y, logarithms, grad, shape);
        for (parent, gradient) in ops.parents.into_iter().zip([of_q, of_k, of_v]) {
            if let Some(node) = parent {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}
