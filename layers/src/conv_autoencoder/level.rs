//! One resolution of an encoder or a decoder.

use burn::module::Module;
use burn::tensor::Tensor;

use super::{ConvNames, ConvSizes, LevelNames, ResidualBlock, SpatialAttention};
use crate::{Conv2d, ParamResult, Params, Trace};

/// Residual blocks, each with an attention layer behind it where the level has attention, then a change of size.
#[derive(Module, Debug)]
pub(super) struct Level {
    blocks: Vec<ResidualBlock>,
    attentions: Vec<SpatialAttention>,
    pub(super) resample: Option<Conv2d>,
    index: usize,
}

/// Where a level stands and what it does.
pub(super) struct Place<'a> {
    /// Resolution, 0 the finest.
    pub level: usize,
    /// Its number in the file.
    pub index: usize,
    /// Channels that it is given.
    pub inputs: usize,
    /// Whether it ends in a change of size.
    pub resamples: bool,
    /// Its names.
    pub names: &'a LevelNames,
}

impl Level {
    pub(super) fn new(params: &Params, sizes: &ConvSizes, names: &ConvNames, place: &Place) -> ParamResult<Self> {
        let at = params.at(place.names.levels).at(place.index);
        let (width, groups) = (sizes.width(place.level), sizes.groups);
        let block = |i: usize| {
            let inputs = if i == 0 { place.inputs } else { width };
            ResidualBlock::new(&at.at(place.names.blocks).at(i), [inputs, width], groups, names.shortcut)
        };
        let attention =
            |i: usize| SpatialAttention::new(&at.at(place.names.attentions).at(i), width, groups, &names.attention);
        let attends = if sizes.attention_levels.contains(&place.level) { sizes.blocks } else { 0 };
        let resample = || Conv2d::uniform(&at.at(place.names.resample), [width, width], 3);
        Ok(Self {
            blocks: (0..sizes.blocks).map(block).collect::<ParamResult<_>>()?,
            attentions: (0..attends).map(attention).collect::<ParamResult<_>>()?,
            resample: place.resamples.then(resample).transpose()?,
            index: place.index,
        })
    }

    /// `[b, inputs, h, w] -> [b, width, h, w]`: everything but the change of size. Reports `level<index>.last_res`, before the
    /// attention behind it, to `trace`.
    pub(super) fn forward(&self, mut x: Tensor<4>, trace: &mut Trace) -> Tensor<4> {
        for (i, block) in self.blocks.iter().enumerate() {
            x = block.forward(x);
            if i + 1 == self.blocks.len() {
                trace.see(format_args!("level{}.last_res", self.index), || x.clone());
            }
            if let Some(attention) = self.attentions.get(i) {
                x = attention.forward(x);
            }
        }
        x
    }
}
