//! EVA-CLIP's vision transformer as SEED and BLIP-2 use it.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use tessera_layers::{Init, Linear, ParamResult, Params, Trace};
use tessera_shaders::{PatchOrder, patchify};

use super::block::{Block, BlockSizes};
use super::positions::resize_positions;
use super::sizes::VitConfig;

/// Patches and a class token through pre-norm blocks, without a last normalisation: all positions go on.
///
/// Source: Sun et al. 2023, "EVA-CLIP" (arXiv 2303.15389), model ViT-g without its last block.
#[derive(Module, Debug)]
pub struct EvaVit {
    proj: Linear,
    cls_token: Param<Tensor<3>>,
    pos_embed: Param<Tensor<3>>,
    blocks: Vec<Block>,
    patch: usize,
    grid: usize,
}

impl EvaVit {
    /// Takes every tensor. `positions` is the number of rows of the file's `pos_embed`, its class row included; loading
    /// brings those of another grid to the grid of `config` (see [`resize_positions`]).
    pub fn new(params: &Params, config: &VitConfig, positions: usize) -> ParamResult<Self> {
        let (width, start) = (config.embed_dim, Init::Normal(0.02));
        let sizes = BlockSizes { width, heads: config.num_heads, mlp: config.mlp(), epsilon: config.norm_eps };
        let block = |index: usize| Block::eva(&params.at("blocks").at(index), sizes, index, config.qkv_bias);
        Ok(Self {
            cls_token: params.tensor("cls_token", [1, 1, width], start)?,
            pos_embed: params.tensor("pos_embed", [1, positions, width], start)?,
            proj: Linear::patch_embedding(&params.at("patch_embed.proj"), config.in_chans, config.patch_size, width)?,
            blocks: (0..config.depth).map(block).collect::<ParamResult<_>>()?,
            patch: config.patch_size,
            grid: config.grid(),
        })
    }

    /// Resizes the positions to the model's grid, where the file has those of another.
    pub(super) fn fit_positions(&mut self) {
        let positions = self.pos_embed.val();
        if positions.dims()[1] == self.grid * self.grid + 1 {
            return;
        }
        let (device, id) = (positions.device(), self.pos_embed.id);
        let resized = resize_positions(positions.detach(), self.grid);
        let resized = if device.is_autodiff() { resized.require_grad() } else { resized };
        self.pos_embed = Param::initialized(id, resized);
    }

    /// Pictures `[batch, channels, side, side]`, normalised, to `[batch, 1 + patches, width]`.
    ///
    /// Reports `vit.patch_embed`, `vit.embed`, `vit.block{i}` and `vit.features` to `trace`.
    ///
    /// # Panics
    /// If the pictures are of another size than the model's: a shape error, as in any tensor operation.
    pub fn forward(&self, images: Tensor<4>, trace: &mut Trace) -> Tensor<3> {
        let patches = self.proj.forward(patchify(images, self.patch, PatchOrder::ChannelsFirst));
        trace.see("vit.patch_embed", || patches.clone());
        let [batch, _, width] = patches.dims();
        let class = self.cls_token.val().expand([batch, 1, width]);
        let mut x = Tensor::cat(vec![class, patches], 1) + self.pos_embed.val();
        trace.see("vit.embed", || x.clone());
        for (index, block) in self.blocks.iter().enumerate() {
            x = block.forward(x);
            trace.see(format!("vit.block{index}"), || x.clone());
        }
        trace.see("vit.features", || x.clone());
        x
    }
}
