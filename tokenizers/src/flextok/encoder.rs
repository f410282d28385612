//! Latents to registers.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use tessera_layers::{Init, Linear, ParamResult, Params, Trace};
use tessera_shaders::{AttentionMask, norm};

use super::block::{EPSILON, FlexBlock, xavier, zero_linear};
use super::config::{FlexTokConfig, MupReadout, RegisterMix};
use super::patches::to_patches;
use crate::dct;

/// Patches of the latents and learned registers through a transformer, in which a register sees all patches and the
/// registers before it; then a linear layer to the dimensions of a code.
#[derive(Module, Debug)]
pub struct FlexEncoder {
    patch_proj: Linear,
    positions: Param<Tensor<4>>,
    registers: Param<Tensor<2>>,
    blocks: Vec<FlexBlock>,
    to_latents: Linear,
    patch: [usize; 2],
    is_causal: bool,
    has_dct: bool,
    #[module(skip)]
    mup: Option<MupReadout>,
}

impl FlexEncoder {
    /// Takes the tensors below `encoder.module_dict`.
    pub fn new(params: &Params, config: &FlexTokConfig) -> ParamResult<Self> {
        let trunk = &config.encoder;
        let [rows, columns] = trunk.max_sizes;
        let [height, width] = trunk.patch;
        let patch_dim = height * width * config.vae.architecture.channels();
        let init = Init::SinCosGrid { height: rows, width: columns };
        let blocks = params.at("enc_transformer.blocks");
        let has_dct = config.register_mix == Some(RegisterMix::Dct);
        let (head, dims) = (params.at("enc_to_latents.proj"), config.levels.len());
        // Registers that say something from the start need no head that begins by saying nothing.
        let to_latents =
            if has_dct { xavier(&head, trunk.dim, dims, true)? } else { zero_linear(&head, trunk.dim, dims)? };
        Ok(Self {
            patch_proj: xavier(&params.at("enc_patch_emb.patch_proj"), patch_dim, trunk.dim, true)?,
            positions: params.at("enc_posemb_module").tensor("posembs", [1, trunk.dim, rows, columns], init)?,
            registers: params.at("enc_register_module").tensor(
                "registers",
                [config.registers, trunk.dim],
                Init::Normal(0.02),
            )?,
            blocks: (0..trunk.depth)
                .map(|block| FlexBlock::new(&blocks.at(block), trunk, false))
                .collect::<ParamResult<_>>()?,
            to_latents,
            patch: trunk.patch,
            is_causal: trunk.is_causal,
            has_dct,
            mup: trunk.mup,
        })
    }

    /// Scaled latents `[batch, channels, h, w]` to `[batch, registers, dims]`, not quantized.
    ///
    /// Reports `patch_proj`, `packed_in`, `block<i>` and the parts of block 0 to `trace`.
    pub fn forward(&self, latents: Tensor<4>, trace: &mut Trace) -> Tensor<3> {
        let [batch, ..] = latents.dims();
        let (patches, grid) = to_patches(latents, self.patch);
        let patches = self.patch_proj.forward(patches);
        trace.see("patch_proj", || {
            let [_, count, dim] = patches.dims();
            patches.clone().reshape([1, batch * count, dim])
        });
        let [_, count, dim] = patches.dims();
        let [registers, _] = self.registers.dims();
        let mixed = self.has_dct.then(|| {
            let matrix = dct::matrix(registers, grid, &patches.device());
            matrix.unsqueeze::<3>().matmul(patches.clone())
        });
        let patches = patches + positions(self.positions.val(), grid);
        let registers = self.registers.val().reshape([1, registers, dim]);
        let registers = match mixed {
            Some(mixed) => mixed + registers,
            None => {
                let [_, count, _] = registers.dims();
                registers.expand([batch, count, dim])
            }
        };
        // [batch, patches + registers, dim]
        let mut x = Tensor::cat(vec![patches, registers], 1);
        trace.see("packed_in", || x.clone());
        let mask = if self.is_causal { AttentionMask::Registers { patches: count } } else { AttentionMask::Full };
        for (index, block) in self.blocks.iter().enumerate() {
            let name = format!("block{index}");
            x = block.forward(x, mask, None, None, &mut trace.at(&name));
            trace.see(name, || x.clone());
        }
        let [_, length, _] = x.dims();
        let registers = norm(x.slice([0..batch, count..length]), EPSILON);
        self.to_latents.forward(readout(registers, self.mup))
    }
}

/// What a readout reads: itself, or under muP a multiple of it.
pub(super) fn readout(x: Tensor<3>, mup: Option<MupReadout>) -> Tensor<3> {
    match mup {
        Some(MupReadout { output_mult, width_mult }) => x.mul_scalar(output_mult / width_mult),
        None => x,
    }
}

/// The positions `[1, dim, rows, columns]` of a grid's patches as `[1, patches, dim]`: the table's upper left corner.
pub(super) fn positions(table: Tensor<4>, [rows, columns]: [usize; 2]) -> Tensor<3> {
    let [_, dim, ..] = table.dims();
    table.slice([0..1, 0..dim, 0..rows, 0..columns]).reshape([1, dim, rows * columns]).swap_dims(1, 2)
}
