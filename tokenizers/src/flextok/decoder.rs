//! Registers and noised latents to velocities.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData, activation};
use tessera_layers::{Init, Linear, ParamResult, Params, Trace};
use tessera_shaders::{AttentionMask, modulated_norm};

use super::block::{Conditioning, EPSILON, FlexBlock, xavier, zero_linear};
use super::config::{FlexTokConfig, MupReadout, RegisterMix};
use super::encoder::{positions, readout};
use super::patches::{from_patches, to_patches};
use crate::dct;

/// The rectified-flow decoder: a transformer over patches of noised latents and registers, modulated by time.
#[derive(Module, Debug)]
pub struct FlexDecoder {
    from_latents: Linear,
    register_positions: Param<Tensor<4>>,
    mask_token: Param<Tensor<1>>,
    null_condition: Param<Tensor<1>>,
    patch_proj: Linear,
    positions: Param<Tensor<4>>,
    time_in: Linear,
    time_out: Linear,
    blocks: Vec<FlexBlock>,
    head_modulation: Linear,
    to_patches: Linear,
    patch: [usize; 2],
    is_causal: bool,
    has_dct: bool,
    frequencies: usize,
    max_timestep: f64,
    #[module(skip)]
    mup: Option<MupReadout>,
}

/// Registers as the transformer reads them.
#[derive(Debug, Clone)]
pub struct Registers {
    /// `[batch, registers, dim]`
    pub tokens: Tensor<3>,
    /// Logarithms of how often each counts, `[batch, registers]`; `None` where every one counts once.
    pub log_weights: Option<Tensor<2>>,
    /// What patches start from, `[batch, registers, dim]`: zero where a register is dropped or without a condition; `None` for
    /// a model without a mix of registers.
    pub mixed: Option<Tensor<3>>,
}

/// What time does to the decoder: the numbers that shift, scale and gate its layers, a row for each time.
#[derive(Debug, Clone)]
pub struct Modulation {
    /// Of each block, `[times, 2 * 6 * dim]`.
    blocks: Vec<Tensor<2>>,
    /// Of the head, `[times, 2 * dim]`.
    head: Tensor<2>,
}

impl Modulation {
    /// The time of one row, for `batch` items.
    pub fn of_row(&self, row: usize, batch: usize) -> Self {
        let pick = |numbers: &Tensor<2>| {
            let [_, width] = numbers.dims();
            numbers.clone().slice([row..row + 1, 0..width]).expand([batch, width])
        };
        Self { blocks: self.blocks.iter().map(pick).collect(), head: pick(&self.head) }
    }
}

/// What one row of a batch is conditioned on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Its first so many tokens.
    Tokens(usize),
    /// Nothing: every register is the null condition.
    Null,
}

impl FlexDecoder {
    /// Takes the tensors below `decoder.module_dict`.
    pub fn new(params: &Params, config: &FlexTokConfig) -> ParamResult<Self> {
        let trunk = &config.decoder;
        let (dim, [rows, columns], [height, width]) = (trunk.dim, trunk.max_sizes, trunk.patch);
        let patch_dim = height * width * config.vae.architecture.channels();
        let init = Init::SinCosGrid { height: rows, width: columns };
        let (blocks, time) = (params.at("dec_transformer.blocks"), params.at("dec_time_embedder.mlp"));
        let learned = Init::Normal(0.02);
        Ok(Self {
            from_latents: xavier(&params.at("dec_from_latents.proj"), config.levels.len(), dim, true)?,
            register_positions: params.at("dec_registers_posemb_module").tensor(
                "posembs",
                [1, 1, dim, config.registers],
                learned,
            )?,
            mask_token: params.at("dec_nested_dropout").tensor("dropout_mask_token", [dim], learned)?,
            null_condition: params.at("dec_latent_dropout").tensor("nullcond", [dim], learned)?,
            patch_proj: xavier(&params.at("dec_noise_patch_emb.patch_proj"), patch_dim, dim, true)?,
            positions: params.at("dec_patches_posemb_module").tensor("posembs", [1, dim, rows, columns], init)?,
            time_in: xavier(&time.at(0), config.time_frequencies, dim, true)?,
            time_out: xavier(&time.at(2), dim, dim, true)?,
            blocks: (0..trunk.depth)
                .map(|block| FlexBlock::new(&blocks.at(block), trunk, true))
                .collect::<ParamResult<_>>()?,
            head_modulation: zero_linear(&params.at("dec_to_patches.adaLN_modulation.1"), dim, 2 * dim)?,
            to_patches: zero_linear(&params.at("dec_to_patches.proj"), dim, patch_dim)?,
            patch: trunk.patch,
            is_causal: trunk.is_causal,
            has_dct: config.register_mix == Some(RegisterMix::Dct),
            frequencies: config.time_frequencies,
            max_timestep: config.max_timestep,
            mup: trunk.mup,
        })
    }

    /// Codes `[batch, registers, dims]` as the registers that the transformer reads: nested
    /// dropout puts the mask token in the place of every token past those a row keeps (position and all), and the null
    /// condition in the place of every register of a row without a condition.
    ///
    /// Reports `from_latents` and `registers_posemb` to `trace`.
    pub fn registers(&self, codes: Tensor<3>, conditions: &[Condition], trace: &mut Trace) -> Registers {
        let (tokens, mixed) = self.register_tokens(codes, conditions, trace);
        Registers { tokens, log_weights: None, mixed }
    }

    /// [`FlexDecoder::registers`] without those that are one like the other: dropped registers all hold the mask token, and
    /// registers without a condition the null condition, and neither has a position, so that they stay alike through the
    /// transformer and one may stand for all. The velocity is the same up to rounding, for less work.
    pub fn counted_registers(&self, codes: Tensor<3>, conditions: &[Condition]) -> Registers {
        let [batch, all, dims] = codes.dims();
        // How many registers a row holds that are its own.
        let own = |condition: &Condition| match condition {
            Condition::Tokens(keep) => (*keep).min(all),
            Condition::Null => 0,
        };
        let count = conditions.iter().map(|condition| (own(condition) + 1).min(all)).max().unwrap_or(all);
        if self.is_causal || count == all {
            return self.registers(codes, conditions, &mut Trace::none());
        }
        let log_weights: Vec<f32> = conditions
            .iter()
            .flat_map(|condition| {
                let own = own(condition);
                let weight = (all - own) as f32 / (count - own) as f32;
                (0..count).map(move |register| if register < own { 0.0 } else { weight.ln() })
            })
            .collect();
        let log_weights = Tensor::from_data(TensorData::new(log_weights, [batch, count]), &codes.device());
        let codes = codes.slice([0..batch, 0..count, 0..dims]);
        let (tokens, mixed) = self.register_tokens(codes, conditions, &mut Trace::none());
        Registers { tokens, log_weights: Some(log_weights), mixed }
    }

    /// The tokens, and what patches start from.
    fn register_tokens(
        &self,
        codes: Tensor<3>,
        conditions: &[Condition],
        trace: &mut Trace,
    ) -> (Tensor<3>, Option<Tensor<3>>) {
        let x = self.from_latents.forward(codes);
        trace.see("from_latents", || x.clone());
        let bare = x.clone();
        let [batch, registers, dim] = x.dims();
        let [_, _, _, all] = self.register_positions.dims();
        let positions = self.register_positions.val().reshape([1, dim, all]).swap_dims(1, 2);
        let positions = positions.slice([0..1, 0..registers, 0..dim]);
        let x = x + positions;
        trace.see("registers_posemb", || x.clone());
        let mixed = self.has_dct.then(|| {
            let own = |register: usize, condition: &Condition| match condition {
                Condition::Tokens(keep) => f32::from(u8::from(register < *keep)),
                Condition::Null => 0.0,
            };
            let own =
                conditions.iter().flat_map(|condition| (0..registers).map(move |register| own(register, condition)));
            let own = TensorData::new(own.collect::<Vec<f32>>(), [batch, registers, 1]);
            bare * Tensor::from_data(own, &x.device())
        });
        let dropped = |register: usize, condition: &Condition| match condition {
            Condition::Tokens(keep) => f32::from(u8::from(register >= *keep)),
            Condition::Null => 0.0,
        };
        let dropped: Vec<f32> = conditions
            .iter()
            .flat_map(|condition| (0..registers).map(move |register| dropped(register, condition)))
            .collect();
        let null: Vec<f32> =
            conditions.iter().map(|condition| f32::from(u8::from(*condition == Condition::Null))).collect();
        let x = blend(x, self.mask_token.val(), dropped, [batch, registers]);
        let tokens = match null.iter().any(|share| *share > 0.0) {
            true => {
                let null = null.into_iter().flat_map(|share| std::iter::repeat_n(share, registers)).collect();
                blend(x, self.null_condition.val(), null, [batch, registers])
            }
            false => x.reshape([batch, registers, dim]),
        };
        (tokens, mixed)
    }

    /// The velocity `[batch, channels, h, w]` at noised latents of the same shape, one time in 0..=1 for each item, under
    /// [`FlexDecoder::registers`].
    ///
    /// Reports what [`FlexDecoder::modulation`] and [`FlexDecoder::modulated_velocity`] report to `trace`.
    pub fn velocity(&self, x: Tensor<4>, registers: Registers, times: &[f32], trace: &mut Trace) -> Tensor<4> {
        let modulation = self.modulation(times, &x.device(), trace);
        self.modulated_velocity(x, registers, modulation, None, trace).0
    }

    /// What each of the times in 0..=1 does to the decoder. Neither latents nor registers matter to it, so that a sampling can
    /// ask for all of its times at once, which reads the weights once.
    ///
    /// Reports `time_freq` and `time_emb` to `trace`.
    pub fn modulation(&self, times: &[f32], device: &Device, trace: &mut Trace) -> Modulation {
        let frequencies = sinusoids(times, self.frequencies, self.max_timestep, device);
        trace.see("time_freq", || frequencies.clone());
        let time = self.time_out.forward(activation::silu(self.time_in.forward(frequencies)));
        trace.see("time_emb", || time.clone());
        let time = activation::silu(time);
        Modulation {
            blocks: self.blocks.iter().filter_map(|block| block.modulation(time.clone())).collect(),
            head: self.head_modulation.forward(time),
        }
    }

    /// [`FlexDecoder::velocity`] under a modulation of one row for each item; also the patches `[batch, patches, dim]` as they
    /// leave block `layer`, where one is named.
    ///
    /// Reports `packed_in`, `block<i>` and the parts of block 0 to `trace`.
    pub fn modulated_velocity(
        &self,
        x: Tensor<4>,
        registers: Registers,
        modulation: Modulation,
        layer: Option<usize>,
        trace: &mut Trace,
    ) -> (Tensor<4>, Option<Tensor<3>>) {
        let [batch, ..] = x.dims();
        let (patches, grid) = to_patches(x, self.patch);
        let patches = self.patch_proj.forward(patches) + positions(self.positions.val(), grid);
        let patches = match registers.mixed {
            Some(mixed) => {
                let [_, count, _] = mixed.dims();
                let inverse = dct::matrix(count, grid, &patches.device()).transpose();
                patches + inverse.unsqueeze::<3>().matmul(mixed)
            }
            None => patches,
        };
        let [_, count, dim] = patches.dims();
        // [batch, patches + registers, dim]
        let mut x = Tensor::cat(vec![patches, registers.tokens], 1);
        let log_weights = registers.log_weights.map(|weights| {
            let patches = Tensor::zeros([batch, count], &weights.device());
            Tensor::cat(vec![patches, weights], 1)
        });
        trace.see("packed_in", || x.clone());
        let mask = if self.is_causal { AttentionMask::Registers { patches: count } } else { AttentionMask::Full };
        let mut features = None;
        for (index, (block, numbers)) in self.blocks.iter().zip(modulation.blocks).enumerate() {
            let name = format!("block{index}");
            let conditioning = Conditioning { numbers, patches: count };
            x = block.forward(x, mask, log_weights.as_ref(), Some(conditioning), &mut trace.at(&name));
            trace.see(name, || x.clone());
            if layer == Some(index) {
                features = Some(x.clone().slice([0..batch, 0..count]));
            }
        }
        let patches = x.slice([0..batch, 0..count]);
        // Here, unlike in the blocks, the shift comes first.
        let numbers = modulation.head.reshape([batch, 2, dim]);
        let part = |part: usize| numbers.clone().slice([0..batch, part..part + 1]);
        let patches = modulated_norm(patches, part(0), part(1), count, EPSILON);
        let patches = self.to_patches.forward(readout(patches, self.mup));
        (from_patches(patches, grid, self.patch), features)
    }

    /// Whether registers see only those before them, so that none stands for several.
    pub fn is_causal(&self) -> bool {
        self.is_causal
    }
}

/// `x [batch, registers, dim]` where a share is 0, `token [dim]` where it is 1.
pub(crate) fn blend(x: Tensor<3>, token: Tensor<1>, shares: Vec<f32>, [batch, registers]: [usize; 2]) -> Tensor<3> {
    if shares.iter().all(|share| *share == 0.0) {
        return x;
    }
    let [_, _, dim] = x.dims();
    let shares = Tensor::<3>::from_data(TensorData::new(shares, [batch, registers, 1]), &x.device());
    let kept = shares.clone().neg().add_scalar(1.0);
    x * kept + token.reshape([1, 1, dim]) * shares
}

/// Cosines and sines of the times, `[batch, frequencies]`: `w_j = 1000 / max_timestep * 256^(-j / half)`, a zero column
/// behind them where the number is odd.
pub(crate) fn sinusoids(times: &[f32], frequencies: usize, max_timestep: f64, device: &Device) -> Tensor<2> {
    let half = frequencies / 2;
    let scale = (1000.0 / max_timestep) as f32;
    let frequency = |j: usize| (-(256_f32.ln()) * j as f32 / half as f32).exp();
    let row = |time: &f32| {
        let scaled = time * scale;
        let angles: Vec<f32> = (0..half).map(|j| scaled * frequency(j)).collect();
        let waves: Vec<f32> =
            angles.iter().map(|angle| angle.cos()).chain(angles.iter().map(|angle| angle.sin())).collect();
        waves.into_iter().chain(std::iter::repeat_n(0.0, frequencies % 2)).collect::<Vec<f32>>()
    };
    let values: Vec<f32> = times.iter().flat_map(row).collect();
    Tensor::from_data(TensorData::new(values, [times.len(), frequencies]), device)
}
