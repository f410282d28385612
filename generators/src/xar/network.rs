//! The network: velocities of noisy entities, given those before them.

use std::ops::Range;
use std::sync::Arc;

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use tessera_layers::{Init, Linear, ParamResult, Params, RmsNorm, Rotary, Trace};

use super::block::{Pass, XarBlock, linear};
use super::{Entities, XarConfig};
use crate::cache::KeyValueCache;

/// Epsilon of the normalisations that have a weight.
const EPSILON: f64 = 1e-6;

/// Half the channels of a time's sines and cosines.
const FREQUENCIES: usize = 128;

/// What a sample is of, in the model's own terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum XarPrompt {
    /// A class, or none.
    Class(Option<u32>),
    /// Words of a caption; none stands for no caption.
    Words(Vec<u32>),
}

impl XarPrompt {
    /// Whether there is nothing to follow.
    pub fn is_empty(&self) -> bool {
        match self {
            XarPrompt::Class(class) => class.is_none(),
            XarPrompt::Words(words) => words.is_empty(),
        }
    }

    /// The same without a condition.
    pub fn without(&self) -> Self {
        match self {
            XarPrompt::Class(_) => XarPrompt::Class(None),
            XarPrompt::Words(_) => XarPrompt::Words(Vec::new()),
        }
    }
}

/// Two stacks of the same blocks over entities; the class and the time of each entity enter through adaptive norms alone.
#[derive(Module, Debug)]
pub struct XarNetwork {
    classes: Param<Tensor<2>>,
    words: Option<Param<Tensor<2>>>,
    time_in: Linear,
    time_out: Linear,
    z_proj: Linear,
    z_proj_ln: RmsNorm,
    encoder_positions: Param<Tensor<3>>,
    encoder_blocks: Vec<XarBlock>,
    encoder_norm: RmsNorm,
    decoder_embed: Linear,
    decoder_positions: Param<Tensor<3>>,
    decoder_blocks: Vec<XarBlock>,
    decoder_norm: RmsNorm,
    pred: Linear,
    channels: usize,
    #[module(skip)]
    entities: Arc<Entities>,
    #[module(skip)]
    rotary: [Rotary; 2],
}

impl XarNetwork {
    /// Takes every tensor of a checkpoint but its buffers. `config` must have passed [`XarConfig::check`].
    ///
    /// # Errors
    /// A configuration error if the entities do not tile the grid, or an error of the source of the parameters.
    pub fn new(params: &Params, config: &XarConfig) -> Result<Self, tessera_tokenizers::LoadError> {
        let entities = config.entities()?;
        Ok(Self::build(params, config, entities)?)
    }

    fn build(params: &Params, config: &XarConfig, entities: Entities) -> ParamResult<Self> {
        let (width, channels, hidden) = (config.encoder_embed_dim, config.vae_embed_dim, config.hidden());
        let table = Init::Normal(0.02);
        let positions = |name: &str| params.tensor(name, [1, entities.len(), width], table);
        let norm = |name: &str| RmsNorm::new(&params.at(name), width, EPSILON);
        let blocks = |name: &str, depth: usize, heads: usize| -> ParamResult<Vec<XarBlock>> {
            let params = params.at(name);
            (0..depth).map(|block| XarBlock::new(&params.at(block), [width, hidden, heads])).collect()
        };
        let time = params.at("time_embed.mlp");
        let words = config.words.as_ref();
        let words =
            words.map(|words| params.at("word_emb").tensor("weight", [words.len(), width], table)).transpose()?;
        let rotary = |heads: usize| Rotary::grid(0, entities.places(), width / heads / 2, 10_000.0);
        Ok(Self {
            classes: params.at("class_emb").tensor("weight", [config.class_num + 1, width], table)?,
            words,
            time_in: linear(&time.at(0), 2 * FREQUENCIES, width)?,
            time_out: linear(&time.at(2), width, width)?,
            z_proj: linear(&params.at("z_proj"), channels, width)?,
            z_proj_ln: norm("z_proj_ln")?,
            encoder_positions: positions("encoder_pos_embed_learned")?,
            encoder_blocks: blocks("encoder_blocks", config.encoder_depth, config.encoder_num_heads)?,
            encoder_norm: norm("encoder_norm")?,
            decoder_embed: linear(&params.at("decoder_embed"), width, width)?,
            decoder_positions: positions("decoder_pos_embed_learned")?,
            decoder_blocks: blocks("decoder_blocks", config.decoder_depth, config.decoder_num_heads)?,
            decoder_norm: norm("decoder_norm")?,
            pred: linear(&params.at("pred"), width, channels)?,
            channels,
            rotary: [rotary(config.encoder_num_heads), rotary(config.decoder_num_heads)],
            entities: Arc::new(entities),
        })
    }

    /// Channels of a latent.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The order of the sequence.
    pub fn entities(&self) -> &Entities {
        &self.entities
    }

    /// The device that the network is on.
    pub fn device(&self) -> Device {
        self.classes.device()
    }

    /// Caches for `rows` whole sequences, one for each block.
    pub fn caches(&self, rows: usize) -> Vec<KeyValueCache> {
        let ([_, width], device) = (self.classes.dims(), self.device());
        let blocks = self.encoder_blocks.len() + self.decoder_blocks.len();
        (0..blocks).map(|_| KeyValueCache::new(rows, self.entities.len(), width, &device)).collect()
    }

    /// Vectors of times given as whole thousandths, `[times, width]`.
    pub fn time_vectors(&self, thousandths: &[u32]) -> Tensor<2> {
        let angles = thousandths.iter().flat_map(|&time| {
            (0..FREQUENCIES).map(move |i| {
                let speed = (-(10_000_f64.ln()) * i as f64 / FREQUENCIES as f64).exp() as f32;
                time as f32 * speed
            })
        });
        let angles: Vec<f32> = angles.collect();
        let waves = angles
            .chunks(FREQUENCIES)
            .flat_map(|angles| angles.iter().map(|angle| angle.cos()).chain(angles.iter().map(|angle| angle.sin())));
        let waves = TensorData::new(waves.collect::<Vec<f32>>(), [thousandths.len(), 2 * FREQUENCIES]);
        let waves = Tensor::<2>::from_data(waves, &self.device());
        self.time_out.forward(activation::silu(self.time_in.forward(waves)))
    }

    /// Vectors of what samples are of, `[samples, width]`: a class's row, or the mean of a caption's words; the last row of the
    /// classes where there is none.
    pub fn prompt_vectors(&self, prompts: &[XarPrompt]) -> Tensor<2> {
        let ([rows, _], device) = (self.classes.dims(), self.device());
        let null = rows.saturating_sub(1);
        let class = |prompt: &XarPrompt| match prompt {
            XarPrompt::Class(Some(class)) => usize::try_from(*class).unwrap_or(null),
            _ => null,
        };
        let classes = self.classes.val().select(0, crate::kept::index(prompts.iter().map(class), &device));
        let Some(words) = &self.words else { return classes };
        // The mean of words as a product with their shares.
        let [known, _] = words.dims();
        let mut shares = vec![0.0_f32; prompts.len() * known];
        let mut nothing = vec![0.0_f32; prompts.len()];
        for (row, prompt) in prompts.iter().enumerate() {
            match prompt {
                XarPrompt::Words(ids) if !ids.is_empty() => {
                    for &id in ids {
                        let place = usize::try_from(id).ok().filter(|&id| id < known);
                        if let Some(share) = place.and_then(|id| shares.get_mut(row * known + id)) {
                            *share += 1.0 / ids.len() as f32;
                        }
                    }
                }
                _ => nothing.iter_mut().skip(row).take(1).for_each(|mark| *mark = 1.0),
            }
        }
        let shares = Tensor::<2>::from_data(TensorData::new(shares, [prompts.len(), known]), &device);
        let nothing = Tensor::<2>::from_data(TensorData::new(nothing, [prompts.len(), 1]), &device);
        shares.matmul(words.val()) + classes * nothing
    }

    /// Velocities `[rows, positions, channels]` of a whole noisy sequence `x [rows, positions, channels]` in entity order, under
    /// conditions `[rows, entities, width]`.
    ///
    /// Reports `z_proj_ln`, `encoder.block<i>`, `encoder.norm`, `decoder.block<i>` and `decoder.norm` to `trace`.
    pub fn whole(&self, x: Tensor<3>, conditions: Tensor<3>, trace: &mut Trace) -> Tensor<3> {
        self.forward(x, conditions, 0..self.entities.len(), Pass::Whole(&self.entities), None, trace)
    }

    /// Velocities `[rows, size, channels]` of entity `entity`, given those that the caches hold. With `keeps` it is added to them,
    /// and should be clean.
    pub fn entity(
        &self,
        x: Tensor<3>,
        condition: Tensor<2>,
        entity: usize,
        keeps: bool,
        caches: &mut [KeyValueCache],
    ) -> Tensor<3> {
        let range = self.entities.ranges().get(entity).cloned().unwrap_or(0..0);
        let condition = condition.unsqueeze_dim::<3>(1);
        self.forward(x, condition, range, Pass::Entity { keeps }, Some(caches), &mut Trace::none())
    }

    fn forward(
        &self,
        x: Tensor<3>,
        conditions: Tensor<3>,
        range: Range<usize>,
        pass: Pass<'_>,
        caches: Option<&mut [KeyValueCache]>,
        trace: &mut Trace,
    ) -> Tensor<3> {
        let mut caches = caches.map(<[KeyValueCache]>::iter_mut);
        let device = x.device();
        let positions = |table: &Param<Tensor<3>>| table.val().narrow(1, range.start, range.len());
        let mut x = self.z_proj_ln.forward(self.z_proj.forward(x) + positions(&self.encoder_positions));
        trace.see("z_proj_ln", || x.clone());
        let turns = self.rotary.each_ref().map(|rotary| rotary.at(range.clone(), &device));
        let stacks = [
            ("encoder", &self.encoder_blocks, &self.encoder_norm),
            ("decoder", &self.decoder_blocks, &self.decoder_norm),
        ];
        for ((name, blocks, norm), turns) in stacks.into_iter().zip(&turns) {
            if name == "decoder" {
                x = self.decoder_embed.forward(x) + positions(&self.decoder_positions);
            }
            for (index, block) in blocks.iter().enumerate() {
                let cache = caches.as_mut().and_then(Iterator::next);
                x = block.forward(x, conditions.clone(), turns, pass, cache);
                trace.see(format_args!("{name}.block{index}"), || x.clone());
            }
            x = norm.forward(x);
            trace.see(format_args!("{name}.norm"), || x.clone());
        }
        self.pred.forward(x)
    }

    /// Latents `[rows, grid positions, channels]`, row by row, as a sequence of entities `[rows, positions, channels]`.
    pub fn in_order(&self, latents: Tensor<3>) -> Tensor<3> {
        let index: Tensor<1, Int> = crate::kept::index(self.entities.raster().iter().copied(), &latents.device());
        latents.select(1, index)
    }

    /// A sequence of entities as latents, row by row.
    pub fn in_layout(&self, sequence: Tensor<3>) -> Tensor<3> {
        let index: Tensor<1, Int> = crate::kept::index(self.entities.back(), &sequence.device());
        sequence.select(1, index)
    }
}

/// A time in 0..=1 as the network sees it: whole thousandths, cut off towards zero.
pub fn thousandths(time: f32) -> u32 {
    (time * 1000.0).clamp(0.0, 1000.0) as u32
}
