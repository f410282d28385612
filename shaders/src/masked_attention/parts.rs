//! Attention in tensor operations, as many queries at once as a device has room for.

use std::ops::Range;

use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, Tensor, TensorData, module};

use super::{AttentionMask, MaskedAttentionShape};
use crate::device::rows_at_once;

/// [`weighted_attention_reference`](crate::weighted_attention_reference) in runs of queries, so that no matrix of scores takes more than `most` bytes; at once where it
/// does not anyway, or `most` is `None`. One query is the shortest run.
pub fn attention_in_parts(
    q: Tensor<3>,
    k: Tensor<3>,
    v: Tensor<3>,
    log_weights: Option<Tensor<2>>,
    shape: MaskedAttentionShape,
    most: Option<u64>,
) -> Tensor<3> {
    let ([batch, queries, width], [_, keys, _], heads) = (q.dims(), k.dims(), shape.heads);
    if batch * queries * width == 0 {
        return q; // no values, in the shape of the output; burn expands no mask to it
    }
    let split = |x: Tensor<3>, length: usize| x.reshape([batch, length, heads, width / heads]).swap_dims(1, 2);
    let (k, v) = (split(k, keys), split(v, keys));
    let run = rows_at_once((4 * batch * heads * keys) as u64, queries, most);
    let part = |start: usize| {
        let rows = start..queries.min(start + run);
        let q = q.clone().narrow(1, start, rows.len());
        attend_rows(split(q, rows.len()), k.clone(), v.clone(), log_weights.clone(), shape, rows, queries)
    };
    let mut parts: Vec<Tensor<3>> = (0..queries).step_by(run).map(part).collect();
    match parts.len() {
        1 => parts.remove(0),
        _ => Tensor::cat(parts, 1),
    }
}

/// Rows `rows` of `queries` queries: `q [batch, heads, rows, dim]`, `k` and `v [batch, heads, keys, dim]`.
fn attend_rows(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    log_weights: Option<Tensor<2>>,
    shape: MaskedAttentionShape,
    rows: Range<usize>,
    queries: usize,
) -> Tensor<3> {
    let MaskedAttentionShape { scale, mask, .. } = shape;
    let ([batch, heads, count, dim], [_, _, keys, _]) = (q.dims(), k.dims());
    let written = (mask != AttentionMask::Full).then(|| {
        let hidden: Vec<bool> = rows
            .flat_map(|query| {
                let visible = mask.visible(query, queries, keys);
                (0..keys).map(move |key| key >= visible)
            })
            .collect();
        Tensor::<4, Bool>::from_data(TensorData::new(hidden, [1, 1, count, keys]), &q.device())
            .expand([batch, heads, count, keys])
    });
    let options = AttentionModuleOptions { scale: Some(f64::from(scale)), ..AttentionModuleOptions::default() };
    let bias = log_weights.map(|weights| weights.reshape([batch, 1, 1, keys]).expand([batch, heads, count, keys]));
    let attended = module::attention(q, k, v, written, bias, options);
    attended.swap_dims(1, 2).reshape([batch, count, heads * dim])
}
