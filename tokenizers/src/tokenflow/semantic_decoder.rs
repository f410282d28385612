//! Codes back to semantic features.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use tessera_layers::attention::packed_self_attention;
use tessera_layers::{Init, LayerNorm, Linear, PackedQkv, ParamResult, Params, Trace};
use tessera_shaders::gelu;

use super::TokenFlowConfig;
use super::positions;
use super::sizes::hidden;
use super::task::TaskLayer;

/// Epsilon of every normalisation.
const EPSILON: f64 = 1e-6;

/// A vision transformer as in BEiT v2 over the grid of codes, and its task layer.
///
/// Source: Peng et al. 2022 (arXiv 2208.06366).
#[derive(Module, Debug)]
pub struct SemanticDecoder {
    patch_embed: Linear,
    cls_token: Param<Tensor<3>>,
    pos_embed: Param<Tensor<3>>,
    blocks: Vec<Block>,
    fc_norm: LayerNorm,
    task: TaskLayer,
}

#[derive(Module, Debug)]
struct Block {
    norm1: LayerNorm,
    qkv: PackedQkv,
    proj: Linear,
    norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    heads: usize,
}

impl Block {
    fn new(params: &Params, width: usize, heads: usize, hidden: usize) -> ParamResult<Self> {
        let (attention, mlp) = (params.at("attn"), params.at("mlp"));
        Ok(Self {
            norm1: LayerNorm::new(&params.at("norm1"), width, EPSILON)?,
            qkv: PackedQkv::new(&attention, width, width, false)?,
            proj: Linear::new(&attention.at("proj"), width, width, true)?,
            norm2: LayerNorm::new(&params.at("norm2"), width, EPSILON)?,
            fc1: Linear::new(&mlp.at("fc1"), width, hidden, true)?,
            fc2: Linear::new(&mlp.at("fc2"), hidden, width, true)?,
            heads,
        })
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let packed = self.qkv.forward(self.norm1.forward(x.clone()));
        let x = x + self.proj.forward(packed_self_attention(packed, self.heads));
        x.clone() + self.fc2.forward(gelu(self.fc1.forward(self.norm2.forward(x))))
    }
}

impl SemanticDecoder {
    /// Takes `decoder_vqkd.*` and `decode_task_layer.*`.
    pub fn new(params: &Params, config: &TokenFlowConfig) -> ParamResult<Self> {
        let (at, sizes) = (params.at("decoder_vqkd"), &config.semantic_decoder);
        let (width, init) = (sizes.width, Init::Normal(0.02));
        let (blocks, hidden) = (at.at("blocks"), hidden(width, sizes.mlp_ratio));
        Ok(Self {
            patch_embed: Linear::pointwise(&at.at("patch_embed.proj"), config.semantic_code_dim, width, true)?,
            cls_token: at.tensor("cls_token", [1, 1, width], init)?,
            pos_embed: at.tensor("pos_embed", [1, sizes.grid * sizes.grid + 1, width], init)?,
            blocks: (0..sizes.layers)
                .map(|block| Block::new(&blocks.at(block), width, sizes.heads, hidden))
                .collect::<ParamResult<_>>()?,
            fc_norm: LayerNorm::new(&at.at("fc_norm"), width, EPSILON)?,
            task: TaskLayer::new(&params.at("decode_task_layer"), width, config.decoder_out_dim)?,
        })
    }

    /// Semantic halves of the codes `[batch, channels, g, g]` to features `[batch, g^2, outputs]`, row by row.
    ///
    /// Reports `patch_embed`, `block<i>` and `vit_out` to `trace`.
    pub fn forward(&self, codes: Tensor<4>, trace: &mut Trace) -> Tensor<3> {
        let [batch, channels, side, columns] = codes.dims();
        let cells = side * columns;
        let patches = self.patch_embed.forward(codes.reshape([batch, channels, cells]).swap_dims(1, 2));
        trace.see("patch_embed", || patches.clone());
        let [_, _, width] = patches.dims();
        let class = self.cls_token.val().expand([batch, 1, width]);
        let positions = positions::for_grid(self.pos_embed.val().squeeze_dim(0), side).unsqueeze::<3>();
        let mut x = Tensor::cat(vec![class, patches], 1) + positions; // [b, 1 + g g, width]
        for (i, block) in self.blocks.iter().enumerate() {
            x = block.forward(x);
            trace.see(format_args!("block{i}"), || x.clone());
        }
        let x = self.fc_norm.forward(x.narrow(1, 1, cells));
        trace.see("vit_out", || x.clone());
        self.task.forward(x)
    }
}
