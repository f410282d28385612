//! The tower of pictures.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use tessera_shaders::{PatchOrder, patchify};

use super::{AttentionPooling, SiglipBlock};
use crate::params::{ParamResult, Params};
use crate::{Init, LayerNorm, Linear};

/// Sizes of a [`SiglipVision`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VisionSizes {
    /// Side of the pictures in pixels.
    pub image: usize,
    /// Side of a patch in pixels; what is left over to the right and at the bottom is not seen.
    pub patch: usize,
    /// Channels.
    pub width: usize,
    /// Blocks.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Hidden units of the MLPs.
    pub hidden: usize,
    /// Epsilon of every normalisation.
    pub epsilon: f64,
}

impl VisionSizes {
    /// Patches a side.
    pub fn grid(&self) -> usize {
        self.image / self.patch
    }
}

/// Patches, positions, blocks and what may stand behind them: a normalisation and attention pooling.
///
/// Names: `embeddings.patch_embedding`, `embeddings.position_embedding`, `encoder.layers.<i>`, `post_layernorm`, `head`.
#[derive(Module, Debug)]
pub struct SiglipVision {
    patch_embedding: Linear,
    position_embedding: Param<Tensor<2>>,
    layers: Vec<SiglipBlock>,
    post_layernorm: Option<LayerNorm>,
    head: Option<AttentionPooling>,
    patch: usize,
}

impl SiglipVision {
    /// Takes the tensors of a tower below `params`; without `is_whole` it ends behind the last block.
    pub fn new(params: &Params, sizes: &VisionSizes, is_whole: bool) -> ParamResult<Self> {
        let VisionSizes { width, heads, hidden, epsilon, .. } = *sizes;
        let (embeddings, layers) = (params.at("embeddings"), params.at("encoder.layers"));
        let positions = sizes.grid() * sizes.grid();
        let table = embeddings.at("position_embedding").tensor("weight", [positions, width], Init::Normal(0.02))?;
        let norm = || LayerNorm::new(&params.at("post_layernorm"), width, epsilon);
        let head = || AttentionPooling::new(&params.at("head"), width, heads, hidden, epsilon);
        Ok(Self {
            patch_embedding: Linear::patch_embedding(&embeddings.at("patch_embedding"), 3, sizes.patch, width)?,
            position_embedding: table,
            layers: (0..sizes.layers)
                .map(|layer| SiglipBlock::new(&layers.at(layer), width, heads, hidden, epsilon))
                .collect::<ParamResult<_>>()?,
            post_layernorm: is_whole.then(norm).transpose()?,
            head: is_whole.then(head).transpose()?,
            patch: sizes.patch,
        })
    }

    /// Pictures `[batch, 3, side, side]` in -1..=1 as the blocks read them, `[batch, grid^2, width]`, row by row.
    pub fn embed(&self, images: Tensor<4>) -> Tensor<3> {
        let [batch, channels, height, width] = images.dims();
        let (rows, columns) = (height / self.patch, width / self.patch);
        let seen = images.slice([0..batch, 0..channels, 0..rows * self.patch, 0..columns * self.patch]);
        let patches = self.patch_embedding.forward(patchify(seen, self.patch, PatchOrder::ChannelsFirst));
        patches + self.position_embedding.val().unsqueeze::<3>()
    }

    /// The blocks in order.
    pub fn layers(&self) -> &[SiglipBlock] {
        &self.layers
    }

    /// The last block's output `[batch, length, width]` normalised; as it is where the tower ends behind its blocks.
    pub fn normalise(&self, x: Tensor<3>) -> Tensor<3> {
        match &self.post_layernorm {
            Some(norm) => norm.forward(x),
            None => x,
        }
    }

    /// Normalised `[batch, length, width]` as one vector each, `[batch, width]`: the mean where the tower has no head.
    pub fn pool(&self, x: Tensor<3>) -> Tensor<2> {
        match &self.head {
            Some(head) => head.forward(x),
            None => x.mean_dim(1).squeeze_dim(1),
        }
    }
}
