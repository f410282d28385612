//! Context and noised or learned patches to pixels.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData, activation};
use tessera_layers::{Init, Linear, ParamResult, Params};
use tessera_shaders::{PatchOrder, modulated_norm, norm, patchify, unpatchify};

use super::block::{EPSILON, PixelBlock, xavier, zero};
use super::config::{PixelConfig, PixelKind, SeedPixelsConfig};
use super::model::Shown;
use crate::dct;
use crate::flextok::{blend, sinusoids};

/// Width of the sinusoids of time.
const FREQUENCIES: usize = 256;

/// What the transformer is conditioned on.
#[derive(Debug, Clone)]
pub struct PixelCondition {
    /// Context positions, `[batch, tokens, width]`.
    pub context: Tensor<3>,
    /// The pooled part of what shifts, scales and gates, `[batch, width]`.
    pub pooled: Tensor<2>,
    /// What `patch_mix` adds to the patches' start, `[batch, patches, width]`.
    pub spread: Option<Tensor<3>>,
}

/// A transformer over `[context ; patches]`, under `pixel_decoder`.
#[derive(Module, Debug)]
pub struct PixelDecoder {
    mask_vector: Param<Tensor<1>>,
    context_proj: Linear,
    context_type: Param<Tensor<1>>,
    mix_proj: Option<Linear>,
    null_context: Param<Tensor<1>>,
    pooled_proj: Linear,
    null_pooled: Param<Tensor<1>>,
    patch_proj: Option<Linear>,
    mask_patch: Option<Param<Tensor<1>>>,
    time_in: Option<Linear>,
    time_out: Option<Linear>,
    blocks: Vec<PixelBlock>,
    head_modulation: Linear,
    to_pixels: Linear,
    patch: usize,
    grid: usize,
    tokens: usize,
}

impl PixelDecoder {
    /// Takes every tensor. `config` must have passed its check.
    pub fn new(params: &Params, config: &SeedPixelsConfig) -> ParamResult<Self> {
        let (pixels, [_, channels]) = (&config.pixels, config.seed.features());
        let PixelConfig { width, patch, .. } = *pixels;
        let (is_flow, values) = (pixels.kind == PixelKind::Flow, 3 * patch * patch);
        let learned = |name: &str, width: usize| params.tensor(name, [width], Init::Normal(0.02));
        let blocks = params.at("blocks");
        let time = params.at("time");
        Ok(Self {
            mask_vector: learned("mask_vector", config.seed.width())?,
            context_proj: xavier(&params.at("context_proj"), [config.seed.width(), width])?,
            context_type: learned("context_type", width)?,
            mix_proj: pixels
                .patch_mix
                .map(|_| xavier(&params.at("mix_proj"), [config.seed.width(), width]))
                .transpose()?,
            null_context: learned("null_context", width)?,
            pooled_proj: xavier(&params.at("pooled_proj"), [channels, width])?,
            null_pooled: learned("null_pooled", width)?,
            patch_proj: is_flow.then(|| xavier(&params.at("patch_proj"), [values, width])).transpose()?,
            mask_patch: (!is_flow).then(|| learned("mask_patch", width)).transpose()?,
            time_in: is_flow.then(|| xavier(&time.at(0), [FREQUENCIES, width])).transpose()?,
            time_out: is_flow.then(|| xavier(&time.at(2), [width, width])).transpose()?,
            blocks: (0..pixels.depth)
                .map(|block| PixelBlock::new(&blocks.at(block), pixels))
                .collect::<ParamResult<_>>()?,
            head_modulation: zero(&params.at("head_modulation"), [width, 2 * width])?,
            to_pixels: zero(&params.at("to_pixels"), [width, values])?,
            patch,
            grid: pixels.grid(),
            tokens: config.seed.encoder.num_query_token,
        })
    }

    /// Dequantized vectors `[batch, tokens, seed width]` of which the first `keep[i]` of row `i` are there; a learned vector stands
    /// for the others.
    pub fn prefix(&self, dequantized: Tensor<3>, keep: &[usize]) -> Tensor<3> {
        let [batch, tokens, _] = dequantized.dims();
        let dropped = |at: usize, keep: usize| f32::from(u8::from(at >= keep));
        let shares = keep.iter().flat_map(|&keep| (0..tokens).map(move |at| dropped(at, keep))).collect();
        blend(dequantized, self.mask_vector.val(), shares, [batch, tokens])
    }

    /// Context `[batch, tokens, seed width]` and pooled features `[batch, channels]` as the transformer reads them; rows that are shown
    /// nothing are without.
    pub fn condition(&self, context: Tensor<3>, pooled: Tensor<2>, shown: &[Shown]) -> PixelCondition {
        let nulls: Vec<bool> = shown.iter().map(|shown| shown.is_null).collect();
        let spread = self.mix_proj.as_ref().map(|mix| self.spread(mix, context.clone(), shown));
        let context = self.context_proj.forward(norm(context, EPSILON));
        let [batch, tokens, width] = context.dims();
        let share = |null: &bool| f32::from(u8::from(*null));
        let shares = nulls.iter().flat_map(|null| std::iter::repeat_n(share(null), tokens)).collect();
        let context = blend(context, self.null_context.val(), shares, [batch, tokens]);
        let pooled = self.pooled_proj.forward(pooled).reshape([batch, 1, width]);
        let pooled = blend(pooled, self.null_pooled.val(), nulls.iter().map(share).collect(), [batch, 1]);
        PixelCondition { spread, ..self.typed(context, pooled.reshape([batch, width])) }
    }

    /// The inverse cosine transform of the tokens that are shown, `[batch, patches, width]`.
    fn spread(&self, mix: &Linear, context: Tensor<3>, shown: &[Shown]) -> Tensor<3> {
        let ([batch, tokens, _], cells, device) = (context.dims(), self.grid * self.grid, context.device());
        let there = |shown: &Shown, at: usize| f32::from(u8::from(!shown.is_null && at < shown.keep));
        let there: Vec<f32> = shown.iter().flat_map(|shown| (0..tokens).map(move |at| there(shown, at))).collect();
        let there = Tensor::<3>::from_data(TensorData::new(there, [batch, tokens, 1]), &device);
        let inverse = dct::matrix(tokens, [self.grid; 2], &device).transpose().unsqueeze::<3>();
        inverse.expand([batch, cells, tokens]).matmul(mix.forward(context) * there)
    }

    /// The condition of rows without one.
    pub fn null_condition(&self, batch: usize) -> PixelCondition {
        let (context, pooled) = (self.null_context.val(), self.null_pooled.val());
        let [width] = context.dims();
        let context = context.reshape([1, 1, width]).expand([batch, self.tokens, width]);
        self.typed(context, pooled.reshape([1, width]).expand([batch, width]))
    }

    fn typed(&self, context: Tensor<3>, pooled: Tensor<2>) -> PixelCondition {
        let [_, _, width] = context.dims();
        PixelCondition { context: context + self.context_type.val().reshape([1, 1, width]), pooled, spread: None }
    }

    /// The velocity `[batch, 3, side, side]` at noised pictures of the same shape, one time in 0..=1 for each; `None` for a decoder
    /// that is no flow.
    pub fn velocity(&self, x: Tensor<4>, condition: PixelCondition, times: &[f32]) -> Option<Tensor<4>> {
        let (patch_proj, time_in, time_out) =
            (self.patch_proj.as_ref()?, self.time_in.as_ref()?, self.time_out.as_ref()?);
        let waves = sinusoids(times, FREQUENCIES, 1.0, &x.device());
        let time = time_out.forward(activation::silu(time_in.forward(waves)));
        let patches = patch_proj.forward(patchify(x, self.patch, PatchOrder::ChannelsFirst));
        let numbers = time + condition.pooled.clone();
        Some(self.transform(patches, condition, numbers))
    }

    /// Pictures `[batch, 3, side, side]` in one pass, nominally in -1..=1; `None` for a flow.
    pub fn pictures(&self, condition: PixelCondition) -> Option<Tensor<4>> {
        let start = self.mask_patch.as_ref()?.val();
        let ([batch, _], [width]) = (condition.pooled.dims(), start.dims());
        let patches = start.reshape([1, 1, width]).expand([batch, self.grid * self.grid, width]);
        let numbers = condition.pooled.clone();
        Some(self.transform(patches, condition, numbers))
    }

    fn transform(&self, patches: Tensor<3>, condition: PixelCondition, numbers: Tensor<2>) -> Tensor<4> {
        let PixelCondition { context, spread, .. } = condition;
        let ([batch, count, width], [_, tokens, _]) = (patches.dims(), context.dims());
        let patches = patches + positions(self.grid, width, &context.device());
        let patches = match spread {
            Some(spread) => patches + spread,
            None => patches,
        };
        let mut x = Tensor::cat(vec![context, patches], 1);
        let numbers = activation::silu(numbers);
        for block in &self.blocks {
            x = block.forward(x, numbers.clone());
        }
        let patches = x.slice([0..batch, tokens..tokens + count, 0..width]);
        let head = self.head_modulation.forward(numbers).reshape([batch, 2, width]);
        let part = |part: usize| head.clone().slice([0..batch, part..part + 1, 0..width]);
        let values = self.to_pixels.forward(modulated_norm(patches, part(0), part(1), 0, EPSILON));
        unpatchify(values, [self.grid, self.grid], self.patch, PatchOrder::ChannelsFirst)
    }

    /// Side of the pictures in pixels.
    pub fn side(&self) -> usize {
        self.grid * self.patch
    }
}

/// Sines and cosines of rows and columns, `[1, grid * grid, width]`, row by row; nothing is learned.
fn positions(grid: usize, width: usize, device: &Device) -> Tensor<3> {
    let values = Init::SinCosGrid { height: grid, width: grid }.values(width * grid * grid, 0, "");
    let table = Tensor::<3>::from_data(TensorData::new(values, [1, width, grid * grid]), device);
    table.swap_dims(1, 2)
}
