//! OpenAI's CLIP vision transformer.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use tessera_layers::{Init, LayerNorm, Linear, ParamResult, Params, Trace, VIT_EPSILON, VitActivation, VitBlock};
use tessera_shaders::{PatchOrder, patchify};

use super::positions;
use super::sizes::{ClipSizes, hidden};

/// The tower of ViT-B/16 without its projection.
///
/// Names: `class_embedding`, `positional_embedding`, `conv1` (no bias), `ln_pre`, `transformer.resblocks.<i>`, `ln_post`.
/// Source: Radford et al. 2021 (arXiv 2103.00020).
#[derive(Module, Debug)]
pub struct ClipVision {
    class_embedding: Param<Tensor<1>>,
    positional_embedding: Param<Tensor<2>>,
    conv1: Linear,
    ln_pre: LayerNorm,
    resblocks: Vec<VitBlock>,
    ln_post: LayerNorm,
    patch: usize,
}

impl ClipVision {
    /// Takes the tensors of a tower below `params`.
    pub fn new(params: &Params, sizes: &ClipSizes) -> ParamResult<Self> {
        let ClipSizes { width, heads, patch_size, .. } = *sizes;
        let (blocks, hidden) = (params.at("transformer.resblocks"), hidden(width, sizes.mlp_ratio));
        let block = |i: usize| {
            VitBlock::new(&blocks.at(i), width, heads, hidden)
                .map(|block| block.with_activation(VitActivation::QuickGelu))
        };
        let (grid, init) = (sizes.image_size / patch_size, Init::Normal((width as f32).powf(-0.5)));
        Ok(Self {
            class_embedding: params.tensor("class_embedding", [width], init)?,
            positional_embedding: params.tensor("positional_embedding", [grid * grid + 1, width], init)?,
            conv1: Linear::patch_projection(&params.at("conv1"), 3, patch_size, width, false)?,
            ln_pre: LayerNorm::new(&params.at("ln_pre"), width, VIT_EPSILON)?,
            resblocks: (0..sizes.layers).map(block).collect::<ParamResult<_>>()?,
            ln_post: LayerNorm::new(&params.at("ln_post"), width, VIT_EPSILON)?,
            patch: patch_size,
        })
    }

    /// Square pictures `[batch, 3, side, side]` to the vectors of their patches `[batch, g^2, width]`, row by row; positions
    /// are resized where the table is for another grid.
    ///
    /// Reports `vit_ln_pre` and `vit_block<i>` to `trace`.
    pub fn forward(&self, images: Tensor<4>, trace: &mut Trace) -> Tensor<3> {
        let [batch, channels, height, columns] = images.dims();
        let [rows, columns] = [height, columns].map(|side| side / self.patch);
        let seen = images.slice([0..batch, 0..channels, 0..rows * self.patch, 0..columns * self.patch]);
        let patches = self.conv1.forward(patchify(seen, self.patch, PatchOrder::ChannelsFirst));
        let [_, cells, width] = patches.dims();
        let class = self.class_embedding.val().reshape([1, 1, width]).expand([batch, 1, width]);
        let positions = positions::for_grid(self.positional_embedding.val(), rows).unsqueeze::<3>();
        let x = self.ln_pre.forward(Tensor::cat(vec![class, patches], 1) + positions); // [b, 1 + g g, width]
        trace.see("vit_ln_pre", || x.clone());
        let mut x = x;
        for (i, block) in self.resblocks.iter().enumerate() {
            x = block.forward(x);
            trace.see(format_args!("vit_block{i}"), || x.clone());
        }
        self.ln_post.forward(x).narrow(1, 1, cells)
    }
}
