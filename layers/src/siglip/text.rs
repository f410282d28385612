//! The tower of texts.

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor};

use super::SiglipBlock;
use crate::params::{ParamResult, Params};
use crate::{Init, LayerNorm, Linear};

/// Sizes of a [`SiglipText`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TextSizes {
    /// Ids.
    pub vocab: usize,
    /// Most positions.
    pub positions: usize,
    /// Channels.
    pub width: usize,
    /// Blocks.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Hidden units of the MLPs.
    pub hidden: usize,
    /// Channels that come out.
    pub projection: usize,
    /// Epsilon of every normalisation.
    pub epsilon: f64,
}

/// Tokens, positions, blocks without a mask; the last position stands for the text.
///
/// Names: `embeddings.token_embedding`, `embeddings.position_embedding`, `encoder.layers.<i>`, `final_layer_norm`, `head`.
#[derive(Module, Debug)]
pub struct SiglipText {
    token_embedding: Param<Tensor<2>>,
    position_embedding: Param<Tensor<2>>,
    layers: Vec<SiglipBlock>,
    final_layer_norm: LayerNorm,
    head: Linear,
}

impl SiglipText {
    /// Takes the tensors of a tower below `params`.
    pub fn new(params: &Params, sizes: &TextSizes) -> ParamResult<Self> {
        let TextSizes { width, heads, hidden, epsilon, .. } = *sizes;
        let (embeddings, layers, init) = (params.at("embeddings"), params.at("encoder.layers"), Init::Normal(0.02));
        let table = |name: &str, rows: usize| embeddings.at(name).tensor("weight", [rows, width], init);
        Ok(Self {
            token_embedding: table("token_embedding", sizes.vocab)?,
            position_embedding: table("position_embedding", sizes.positions)?,
            layers: (0..sizes.layers)
                .map(|layer| SiglipBlock::new(&layers.at(layer), width, heads, hidden, epsilon))
                .collect::<ParamResult<_>>()?,
            final_layer_norm: LayerNorm::new(&params.at("final_layer_norm"), width, epsilon)?,
            head: Linear::new(&params.at("head"), width, sizes.projection, true)?,
        })
    }

    /// Ids that there are, and the longest text.
    pub fn limits(&self) -> [usize; 2] {
        let ([vocab, _], [positions, _]) = (self.token_embedding.dims(), self.position_embedding.dims());
        [vocab, positions]
    }

    /// Ids `[batch, length]`, padded as the release does it, to `[batch, projection]`.
    ///
    /// # Panics
    /// If texts are longer than [`SiglipText::limits`] says: a shape error, as in any tensor operation.
    pub fn forward(&self, ids: Tensor<2, Int>) -> Tensor<2> {
        let ([batch, length], [_, width]) = (ids.dims(), self.token_embedding.dims());
        let tokens = self.token_embedding.val().select(0, ids.reshape([batch * length]));
        let positions = self.position_embedding.val().slice([0..length]).unsqueeze::<3>();
        let x = tokens.reshape([batch, length, width]) + positions;
        let x = self.layers.iter().fold(x, |x, layer| layer.forward(x));
        let last = self.final_layer_norm.forward(x.narrow(1, length - 1, 1));
        self.head.forward(last).squeeze_dim(1)
    }
}
