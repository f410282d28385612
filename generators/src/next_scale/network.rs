//! VAT's network over scales.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};
use tessera_layers::{Init, LayerNorm, Linear, ParamResult, Params, Trace};
use tessera_shaders::{AttentionMask, ScaleEnds};
use tessera_tokenizers::quantizers::ScaleQuantizer;
use tessera_tokenizers::quantizers::scales::ScaleNames;

use super::block::{EPSILON, ScaleBlock};
use super::condition::ScalePrompt;
use super::condition_parts::ConditionPart;
use super::config::NextScaleConfig;
use super::decode::NextScale;
use crate::cache::KeyValueCache;

/// The tokenizer's codes under `quantizer`, and the transformer under `ar`.
#[derive(Module, Debug)]
pub struct ScaleNetwork {
    quantizer: ScaleQuantizer,
    word_embed: Linear,
    start: Param<Tensor<2>>,
    conditions: Vec<ConditionPart>,
    pos: Param<Tensor<2>>,
    level: Param<Tensor<2>>,
    blocks: Vec<ScaleBlock>,
    norm: LayerNorm,
    head: Linear,
    condition_positions: usize,
}

/// Sequences so far.
pub struct ScaleState {
    caches: Vec<KeyValueCache>,
    /// What the next pass begins with: the condition, before the first.
    condition: Option<Tensor<3>>,
    /// Sum of the codes so far, `[rows, latents, width]`.
    sum: Option<Tensor<3>>,
    rows: usize,
}

impl ScaleNetwork {
    /// Takes every tensor. `config` must have passed [`NextScaleConfig::check`].
    pub fn new(params: &Params, config: &NextScaleConfig) -> ParamResult<Self> {
        let (ar, table) = (&config.ar, Init::Normal(0.02));
        let (width, codes) = (ar.dim, config.quantizer.codebook_size);
        let sizes = [config.num_latents, config.latent_dim];
        let quantizer = ScaleQuantizer::new(&params.at("quantizer"), &config.quantizer, sizes, ScaleNames::Plain)?;
        let params = params.at("ar");
        let tower = ar.tower();
        let block = |index: usize| ScaleBlock::new(&params.at("blocks").at(index), &tower, ar.qk_norm);
        Ok(Self {
            quantizer,
            word_embed: Linear::new(&params.at("word_embed"), config.latent_dim, width, true)?,
            start: params.tensor("start", [1, width], table)?,
            conditions: ConditionPart::all(&params, ar)?,
            pos: params.tensor("pos", [config.quantizer.tokens(), width], table)?,
            level: params.tensor("level", [config.quantizer.scales.len(), width], table)?,
            blocks: (0..ar.depth).map(block).collect::<ParamResult<_>>()?,
            norm: LayerNorm::new(&params.at("norm"), width, EPSILON)?,
            head: Linear::new(&params.at("head"), width, codes, true)?,
            condition_positions: ar.condition_positions(),
        })
    }

    /// The tokenizer's codes.
    pub fn quantizer(&self) -> &ScaleQuantizer {
        &self.quantizer
    }

    /// Positions of the condition.
    pub fn condition_positions(&self) -> usize {
        self.condition_positions
    }

    /// Which positions see which: the condition, then all tokens.
    pub fn mask(&self) -> AttentionMask {
        let ends = ScaleEnds::new(self.quantizer.scales().iter().copied());
        match ends {
            Some(ends) => AttentionMask::Scales { first: self.condition_positions, is_causal: false, ends },
            None => AttentionMask::Full, // refused by the configuration's check
        }
    }

    /// What each scale but the first is told of the scales before it, `[rows, tokens of the scale, width of a code]`: their sum,
    /// made coarser. `ids [rows, tokens]` are of all scales, or of the first ones. No gradient flows to the codes.
    pub fn inputs(&self, ids: Tensor<2, Int>) -> Vec<Tensor<3>> {
        // On no tape: one that no backward pass reaches is never freed (burn issue 4970).
        let sums = self.quantizer.clone().no_grad().sums(ids);
        let scales = 1..self.quantizer.scales().len();
        sums.into_iter().zip(scales).map(|(sum, scale)| self.quantizer.down(sum, scale)).collect()
    }

    /// Embedded positions `[rows, tokens, width]` of scale `scale`; `input` is absent at the first.
    fn embed(&self, input: Option<Tensor<3>>, scale: usize, rows: usize) -> Tensor<3> {
        let range = self.quantizer.ranges().into_iter().nth(scale).unwrap_or(0..0);
        let places = self.pos.val().narrow(0, range.start, range.len()).unsqueeze::<3>();
        let level = self.level.val().narrow(0, scale, 1).unsqueeze::<3>();
        let x = match input {
            Some(input) => self.word_embed.forward(input),
            None => self.start.val().unsqueeze::<3>().repeat_dim(0, rows),
        };
        x + level + places
    }

    /// Condition positions `[rows, positions, width]`; none where the model takes no condition.
    fn embed_condition(&self, prompt: &ScalePrompt) -> Option<Tensor<3>> {
        let device = NextScale::device(self);
        let parts = self.conditions.iter().zip(prompt.parts()).map(|(part, given)| part.embed(given, &device));
        let parts: Vec<Tensor<3>> = parts.collect();
        (!parts.is_empty()).then(|| Tensor::cat(parts, 1))
    }

    /// Logits `[rows, tokens, codes]` of every token, given those of the coarser scales: `ids [rows, tokens]`, coarse to fine.
    ///
    /// Reports `tokens_in` and `block<i>` to `trace`, both with the condition.
    pub fn teach(&self, ids: Tensor<2, Int>, prompt: &ScalePrompt, trace: &mut Trace) -> Tensor<3> {
        let ([rows, tokens], first) = (ids.dims(), self.condition_positions);
        let inputs = std::iter::once(None).chain(self.inputs(ids).into_iter().map(Some));
        let scales = inputs.take(self.quantizer.scales().len()).enumerate();
        let scales = scales.map(|(scale, input)| self.embed(input, scale, rows));
        let x = Tensor::cat(self.embed_condition(prompt).into_iter().chain(scales).collect(), 1);
        trace.see("tokens_in", || x.clone());
        let x = self.run(x, None, trace);
        self.head.forward(self.norm.forward(x.narrow(1, first, tokens)))
    }

    fn run(&self, mut x: Tensor<3>, caches: Option<&mut [KeyValueCache]>, trace: &mut Trace) -> Tensor<3> {
        let mask = self.mask();
        let mut caches = caches.map(<[KeyValueCache]>::iter_mut);
        for (index, block) in self.blocks.iter().enumerate() {
            x = block.forward(x, mask, caches.as_mut().and_then(Iterator::next));
            trace.see(format_args!("block{index}"), || x.clone());
        }
        x
    }
}

impl NextScale for ScaleNetwork {
    type Prompt = ScalePrompt;
    type State = ScaleState;

    fn counts(&self) -> &[usize] {
        self.quantizer.scales()
    }

    fn device(&self) -> Device {
        self.start.val().device()
    }

    fn begin(&self, prompt: &ScalePrompt) -> ScaleState {
        let ([_, width], rows) = (self.start.dims(), prompt.rows());
        let most = self.condition_positions + self.quantizer.config().tokens();
        let cache = |_: &ScaleBlock| KeyValueCache::new(rows, most, width, &NextScale::device(self));
        let caches = self.blocks.iter().map(cache).collect();
        ScaleState { caches, condition: self.embed_condition(prompt), sum: None, rows }
    }

    fn advance(&self, state: &mut ScaleState, scale: usize, last: Option<Tensor<2, Int>>) -> Tensor<3> {
        let input = last.map(|ids| {
            let h = self.quantizer.contribution(ids, scale.saturating_sub(1));
            let sum = match state.sum.take() {
                Some(sum) => sum + h,
                None => h,
            };
            state.sum = Some(sum.clone());
            self.quantizer.down(sum, scale)
        });
        let x = self.embed(input, scale, state.rows);
        let [_, count, _] = x.dims();
        let x = match state.condition.take() {
            Some(condition) => Tensor::cat(vec![condition, x], 1),
            None => x,
        };
        let x = self.run(x, Some(&mut state.caches), &mut Trace::none());
        let [_, all, _] = x.dims();
        self.head.forward(self.norm.forward(x.narrow(1, all - count, count)))
    }
}
