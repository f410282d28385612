//! The ViT encoder with latent tokens.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use tessera_layers::{Init, LayerNorm, Linear, ParamResult, Params, Trace, VIT_EPSILON, VitBlock};
use tessera_shaders::{PatchOrder, patchify};

use super::config::{LatentMix, Tower};
use crate::dct;

/// Patches and latent tokens through a transformer; the latents come out as `token_size` channels each.
#[derive(Module, Debug)]
pub struct TitokEncoder {
    class_embedding: Param<Tensor<2>>,
    positional_embedding: Param<Tensor<2>>,
    latent_token_positional_embedding: Param<Tensor<2>>,
    patch_embed: Linear,
    ln_pre: LayerNorm,
    transformer: Vec<VitBlock>,
    ln_post: LayerNorm,
    conv_out: Linear,
    patch: usize,
    is_legacy: bool,
    has_dct: bool,
}

impl TitokEncoder {
    /// Takes the tensors under `encoder`; `grid` patches a side, `latents` latent tokens, `token_size` channels out; `mix`
    /// is what latent tokens start from beside their learned vectors.
    pub fn new(
        params: &Params,
        tower: Tower,
        grid: usize,
        latents: usize,
        token_size: usize,
        is_legacy: bool,
        mix: Option<LatentMix>,
    ) -> ParamResult<Self> {
        let Tower { width, layers, heads, patch } = tower;
        let scale = Init::Normal((width as f32).powf(-0.5));
        let positions = grid * grid + 1;
        Ok(Self {
            class_embedding: params.tensor("class_embedding", [1, width], scale)?,
            positional_embedding: params.tensor("positional_embedding", [positions, width], scale)?,
            latent_token_positional_embedding: params.tensor(
                "latent_token_positional_embedding",
                [latents, width],
                scale,
            )?,
            patch_embed: Linear::patch_embedding(&params.at("patch_embed"), 3, patch, width)?,
            ln_pre: LayerNorm::new(&params.at("ln_pre"), width, VIT_EPSILON)?,
            transformer: (0..layers)
                .map(|i| VitBlock::new(&params.at("transformer").at(i), width, heads, 4 * width))
                .collect::<ParamResult<_>>()?,
            ln_post: LayerNorm::new(&params.at("ln_post"), width, VIT_EPSILON)?,
            conv_out: Linear::pointwise(&params.at("conv_out"), width, token_size, true)?,
            patch,
            is_legacy,
            has_dct: mix == Some(LatentMix::Dct),
        })
    }

    /// Picture `[batch, 3, crop, crop]` and latent tokens `[latents, width]` to latents
    /// `[batch, latents, token_size]`, not normalised.
    pub fn forward(&self, image: Tensor<4>, latent_tokens: Tensor<2>, trace: &mut Trace) -> Tensor<3> {
        let [batch, _, height, columns] = image.dims();
        let grid = [height / self.patch, columns / self.patch];
        let patches = self.patch_embed.forward(patchify(image, self.patch, PatchOrder::ChannelsFirst));
        let [_, cells, width] = patches.dims();
        trace.see("patch_embed", || patches.clone().swap_dims(1, 2).reshape([batch, width, grid[0], grid[1]]));
        let [latents, _] = latent_tokens.dims();

        let class = self.class_embedding.val().unsqueeze::<3>().expand([batch, 1, width]);
        let positions = self.positional_embedding.val().unsqueeze::<3>();
        let start = self.has_dct.then(|| {
            let matrix = dct::matrix(latents, [grid[0]; 2], &patches.device()).unsqueeze::<3>();
            matrix.expand([batch, latents, cells]).matmul(patches.clone())
        });
        let picture = Tensor::cat(vec![class, patches], 1) + positions;
        let latent_positions = self.latent_token_positional_embedding.val();
        let queries = (latent_tokens + latent_positions).unsqueeze::<3>().expand([batch, latents, width]);
        let queries = match start {
            Some(start) => queries + start,
            None => queries,
        };

        let mut x = self.ln_pre.forward(Tensor::cat(vec![picture, queries], 1)); // [b, 1 + g*g + n, w]
        trace.see("ln_pre", || x.clone());
        for (i, block) in self.transformer.iter().enumerate() {
            x = block.forward(x);
            trace.see(format_args!("block{i}"), || x.clone());
        }
        let x = self.ln_post.forward(x.slice([0..batch, cells + 1..cells + 1 + latents]));
        trace.see("latents_ln_post", || x.clone());

        // The first release read the buffer [n, w] as [w, n] without moving a value, and its weights were trained so:
        // channel c of position n is element c * n_total + n of an item's values.
        let columns = if self.is_legacy { x.reshape([batch, width, latents]).swap_dims(1, 2) } else { x };
        self.conv_out.forward(columns)
    }
}
