//! The ViT decoder: code vectors and mask tokens to proxy-code logits or straight to pixels.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use tessera_layers::{Conv2d, Init, LayerNorm, Linear, ParamResult, Params, Trace, VIT_EPSILON, VitBlock};
use tessera_shaders::{PatchOrder, unpatchify};

use super::config::{LatentMix, Tower};
use crate::dct;

/// Any number of leading code vectors, plus one mask token for each cell of the picture, through a transformer.
#[derive(Module, Debug)]
pub struct TitokDecoder {
    decoder_embed: Linear,
    class_embedding: Param<Tensor<2>>,
    positional_embedding: Param<Tensor<2>>,
    mask_token: Param<Tensor<3>>,
    latent_token_positional_embedding: Param<Tensor<2>>,
    ln_pre: LayerNorm,
    transformer: Vec<VitBlock>,
    ln_post: LayerNorm,
    head: Head,
    grid: usize,
    has_dct: bool,
}

#[derive(Module, Debug)]
enum Head {
    /// `ffn.0`, tanh, `ffn.2`: logits over the proxy codes.
    Proxy(ProxyHead),
    /// `ffn.0`, patches to pixels, 3x3 `conv_out`.
    Pixels(PixelHead),
}

#[derive(Module, Debug)]
struct ProxyHead {
    ffn_0: Linear,
    ffn_2: Linear,
}

#[derive(Module, Debug)]
struct PixelHead {
    ffn_0: Linear,
    conv_out: Conv2d,
    patch: usize,
}

/// What a decoder makes of its tokens.
#[derive(Debug, Clone)]
pub enum Decoded {
    /// `[batch, grid * grid, proxy codes]`: logits of the proxy code in each cell (two-stage models).
    Logits(Tensor<3>),
    /// `[batch, 3, crop, crop]`: the picture, not clamped (single-stage models).
    Image(Tensor<4>),
}

impl TitokDecoder {
    /// Takes the tensors under `decoder`. `proxy_codes` is `None` for a single-stage model; `mix` is what
    /// mask tokens start from beside their learned vector.
    pub fn new(
        params: &Params,
        tower: Tower,
        grid: usize,
        latents: usize,
        token_size: usize,
        proxy_codes: Option<usize>,
        mix: Option<LatentMix>,
    ) -> ParamResult<Self> {
        let Tower { width, layers, heads, patch } = tower;
        let scale = Init::Normal((width as f32).powf(-0.5));
        let ffn = params.at("ffn");
        let head = match proxy_codes {
            Some(codes) => Head::Proxy(ProxyHead {
                ffn_0: Linear::pointwise(&ffn.at(0), width, 2 * width, true)?,
                ffn_2: Linear::pointwise(&ffn.at(2), 2 * width, codes, true)?,
            }),
            None => Head::Pixels(PixelHead {
                ffn_0: Linear::pointwise(&ffn.at(0), width, patch * patch * 3, true)?,
                conv_out: Conv2d::new(&params.at("conv_out"), [3, 3], 3, true)?,
                patch,
            }),
        };
        Ok(Self {
            decoder_embed: Linear::new(&params.at("decoder_embed"), token_size, width, true)?,
            class_embedding: params.tensor("class_embedding", [1, width], scale)?,
            positional_embedding: params.tensor("positional_embedding", [grid * grid + 1, width], scale)?,
            mask_token: params.tensor("mask_token", [1, 1, width], scale)?,
            latent_token_positional_embedding: params.tensor(
                "latent_token_positional_embedding",
                [latents, width],
                scale,
            )?,
            ln_pre: LayerNorm::new(&params.at("ln_pre"), width, VIT_EPSILON)?,
            transformer: (0..layers)
                .map(|i| VitBlock::new(&params.at("transformer").at(i), width, heads, 4 * width))
                .collect::<ParamResult<_>>()?,
            ln_post: LayerNorm::new(&params.at("ln_post"), width, VIT_EPSILON)?,
            head,
            grid,
            has_dct: mix == Some(LatentMix::Dct),
        })
    }

    /// Code vectors `[batch, k, token_size]`, `1 <= k <= latents`. Dropped tokens are simply absent.
    pub fn forward(&self, vectors: Tensor<3>, trace: &mut Trace) -> Decoded {
        let x = self.decoder_embed.forward(vectors);
        trace.see("embed", || x.clone());
        let [batch, kept, width] = x.dims();
        let cells = self.grid * self.grid;

        let masks = self.mask_token.val().expand([batch, cells, width]);
        let masks = if self.has_dct {
            let inverse = dct::matrix(kept, [self.grid; 2], &x.device()).transpose().unsqueeze::<3>();
            masks + inverse.expand([batch, cells, kept]).matmul(x.clone())
        } else {
            masks
        };
        let latent_positions = self.latent_token_positional_embedding.val().slice([0..kept]);
        let latents = x + latent_positions.unsqueeze::<3>();
        let class = self.class_embedding.val().unsqueeze::<3>().expand([batch, 1, width]);
        let positions = self.positional_embedding.val().unsqueeze::<3>();
        let picture = Tensor::cat(vec![class, masks], 1) + positions;

        let mut x = self.ln_pre.forward(Tensor::cat(vec![picture, latents], 1)); // [b, 1 + g*g + k, w]
        trace.see("ln_pre", || x.clone());
        for (i, block) in self.transformer.iter().enumerate() {
            x = block.forward(x);
            trace.see(format_args!("block{i}"), || x.clone());
        }
        let x = self.ln_post.forward(x.slice([0..batch, 1..1 + cells]));
        trace.see("ln_post", || x.clone());
        match &self.head {
            Head::Proxy(head) => Decoded::Logits(head.forward(x, self.grid, trace)),
            Head::Pixels(head) => Decoded::Image(head.forward(x, self.grid, trace)),
        }
    }
}

impl ProxyHead {
    fn forward(&self, x: Tensor<3>, grid: usize, trace: &mut Trace) -> Tensor<3> {
        let logits = self.ffn_2.forward(self.ffn_0.forward(x).tanh());
        trace.see("ffn", || as_grid(logits.clone(), grid));
        logits
    }
}

impl PixelHead {
    fn forward(&self, x: Tensor<3>, grid: usize, trace: &mut Trace) -> Tensor<4> {
        let patches = self.ffn_0.forward(x);
        let image = unpatchify(patches, [grid, grid], self.patch, PatchOrder::ChannelsLast);
        trace.see("ffn", || image.clone());
        self.conv_out.forward(image)
    }
}

/// `[batch, grid * grid, channels] -> [batch, channels, grid, grid]`.
pub(crate) fn as_grid(x: Tensor<3>, grid: usize) -> Tensor<4> {
    let [batch, _, channels] = x.dims();
    x.swap_dims(1, 2).reshape([batch, channels, grid, grid])
}
