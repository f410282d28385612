//! Multi-head attention under a mask that is computed from indices: checks and dispatch.

use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, Tensor, TensorData, module};

/// Which keys a query sees. No mask is ever stored: each is a rule about indices.
///
/// Fewer queries than keys stand for the last positions, as in decoding with a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttentionMask {
    /// Every query sees every key.
    Full,
    /// A query sees its own position and those before it.
    Causal,
    /// The first `patches` positions see one another and nothing else; each later position (a register) sees them, itself
    /// and the registers before it. FlexTok's `causal_last`.
    Registers {
        /// Positions before the first register.
        patches: usize,
    },
}

impl AttentionMask {
    /// How many of the `keys` keys query `query` of `queries` sees: always the first so many.
    pub fn visible(self, query: usize, queries: usize, keys: usize) -> usize {
        let position = query + keys.saturating_sub(queries);
        let seen = match self {
            Self::Full => keys,
            Self::Causal => position + 1,
            Self::Registers { patches } => patches.max(position + 1),
        };
        seen.min(keys)
    }
}

/// Attention of `heads` heads.
///
/// - `q`: `[batch, queries, width]`; `k`, `v`: `[batch, keys, width]`; heads side by side in the width
/// - returns `[batch, queries, width]`; scores are multiplied by `scale`
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
    masked_attention_reference(q, k, v, heads, scale, mask)
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
    let ([batch, queries, width], [_, keys, _]) = (q.dims(), k.dims());
    let written = (mask != AttentionMask::Full).then(|| {
        let hidden: Vec<bool> = (0..queries)
            .flat_map(|query| {
                let visible = mask.visible(query, queries, keys);
                (0..keys).map(move |key| key >= visible)
            })
            .collect();
        Tensor::<4, Bool>::from_data(TensorData::new(hidden, [1, 1, queries, keys]), &q.device())
            .expand([batch, heads, queries, keys])
    });
    let split = |x: Tensor<3>, length: usize| x.reshape([batch, length, heads, width / heads]).swap_dims(1, 2);
    let options = AttentionModuleOptions { scale: Some(f64::from(scale)), ..AttentionModuleOptions::default() };
    let attended = module::attention(split(q, queries), split(k, keys), split(v, keys), written, None, options);
    attended.swap_dims(1, 2).reshape([batch, queries, width])
}
