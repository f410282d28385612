//! The generator: loading, decoding window by window, guidance.

use std::ops::ControlFlow;

use burn::tensor::{Device, Int, Tensor, TensorData};
use tessera_layers::checkpoint::Weights;
use tessera_layers::{ParamResult, ParamSource, ParamSpec, Params, Trace, half_weights, load_strict};
use tessera_tokenizers::{Fingerprint, LoadError, TokenLayout, Tokens};

use super::{TokenShuffleConfig, TokenShuffleNetwork, Windows};
use crate::decoder::Padding;
use crate::kept::{Kept, index, known, read_ids};
use crate::sampling::{draw, guided};
use crate::{
    Condition, Content, GenerateOptions, Generated, Generator, GeneratorError, GeneratorInfo, GuidanceSchedule,
    Sampling, Step, Turns,
};

/// A Token-Shuffle ready to sample.
pub struct TokenShuffle {
    network: TokenShuffleNetwork,
    config: TokenShuffleConfig,
    windows: Windows,
    info: GeneratorInfo,
}

/// Greedy decoding and what led to it.
#[derive(Debug, Clone)]
pub struct Greedy {
    /// Codes window after window, `[rows, windows * size]`.
    pub groups: Tensor<2, Int>,
    /// Codes in the layout's order, `[rows, tokens]`.
    pub ids: Tensor<2, Int>,
    /// Logits over the codes after guidance, `[rows, windows * size, codes]`.
    pub logits: Tensor<3>,
    /// The guidance scale of each window.
    pub scales: Vec<f32>,
}

/// The tensors of a checkpoint, by name and shape; allocates no weights.
///
/// # Errors
/// Whatever the source of the parameters reports.
pub fn listing(config: &TokenShuffleConfig) -> ParamResult<Vec<ParamSpec>> {
    let source = ParamSource::listing();
    TokenShuffleNetwork::new(&source.root(), config)?;
    Ok(source.into_taken())
}

/// Makes the generator of a checkpoint that holds exactly its tensors.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit or a tensor is missing, surplus, misshapen or not finite.
pub fn load(config: &TokenShuffleConfig, weights: &Weights, device: &Device) -> Result<TokenShuffle, LoadError> {
    config.check()?;
    let make = |params: &Params| Ok(TokenShuffleNetwork::new(params, config)?);
    let (network, _, _) = load_strict::<_, LoadError>(weights, &[], device, make)?;
    TokenShuffle::new(network, config)
}

/// A generator with starting values drawn from `seed`.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit.
pub fn random(config: &TokenShuffleConfig, seed: u64, device: &Device) -> Result<TokenShuffle, LoadError> {
    config.check()?;
    let source = ParamSource::seeded(seed, device);
    TokenShuffle::new(TokenShuffleNetwork::new(&source.root(), config)?, config)
}

/// How a sequence is decoded.
struct Plan {
    scale: f32,
    schedule: GuidanceSchedule,
    interval: Option<usize>,
    windows: usize,
}

/// Ids of rows of logits, from conditional and unconditional ones, their scale and the window.
type Choose<'a> = &'a mut dyn FnMut(Tensor<2>, Option<Tensor<2>>, f32, usize) -> Tensor<1, Int>;

impl TokenShuffle {
    /// A network of this configuration as a generator.
    ///
    /// # Errors
    /// [`LoadError`] if the configuration does not fit together.
    pub fn new(network: TokenShuffleNetwork, config: &TokenShuffleConfig) -> Result<Self, LoadError> {
        config.check()?;
        let content = Content::Codes { vocab: vec![u32::try_from(config.image_vocab).unwrap_or(u32::MAX)] };
        let info = GeneratorInfo {
            words: config.words.clone(),
            tokenizer: config.tokenizer.as_deref().and_then(Fingerprint::from_hex),
            ..GeneratorInfo::new("token-shuffle", config.token_layout(), content)
        };
        Ok(Self { network, windows: config.windows()?, config: config.clone(), info })
    }

    /// The network itself.
    pub fn network(&self) -> &TokenShuffleNetwork {
        &self.network
    }

    /// Its configuration.
    pub fn config(&self) -> &TokenShuffleConfig {
        &self.config
    }

    /// Its windows.
    pub fn windows(&self) -> &Windows {
        &self.windows
    }

    /// The most likely codes for each row of text ids.
    ///
    /// # Errors
    /// None of its own: the signature is that of decoding.
    pub fn greedy(&self, text: &[Vec<u32>], scale: f32, schedule: GuidanceSchedule) -> Result<Greedy, GeneratorError> {
        let plan = Plan { scale, schedule, interval: None, windows: self.windows.count() };
        let (mut all, mut scales) = (Vec::new(), Vec::new());
        let mut choose = |conditional, unconditional, scale: f32, _| {
            let logits = guided(conditional, unconditional, scale);
            let [rows, codes] = logits.dims();
            all.push(logits.clone().reshape([text.len(), rows / text.len().max(1), codes]));
            scales.push(scale);
            logits.argmax(1).flatten(0, 1)
        };
        let groups = self.decode(text, &plan, None, &mut choose, &mut |_| ControlFlow::Continue(()))?;
        Ok(Greedy { ids: self.in_layout(groups.clone()), groups, logits: Tensor::cat(all, 1), scales })
    }

    /// Codes window after window, `[rows, windows * size]`, zeros behind the last window of the plan.
    fn decode(
        &self,
        text: &[Vec<u32>],
        plan: &Plan,
        kept: Option<&Kept>,
        choose: Choose<'_>,
        on_step: &mut dyn FnMut(&Step<'_>) -> ControlFlow<()>,
    ) -> Result<Tensor<2, Int>, GeneratorError> {
        let (rows, size, device) = (text.len(), self.windows.size(), self.network.device());
        let is_guided = plan.scale > 1.0 && text.iter().any(|text| !self.is_empty(text));
        let nothing = self.config.caption_len.map_or(Vec::new(), |length| vec![self.config.bos_id; length]);
        let mut prompts = text.to_vec();
        if is_guided {
            prompts.extend(std::iter::repeat_n(nothing, rows));
        }
        let (mut x, padding) = self.prompt(&prompts);
        let [all, length, _] = x.dims();
        let rotary = self.network.rotary(length + self.windows.count());
        let mut caches = self.network.caches(all, length + self.windows.count());
        let (first_code, codes) = (self.config.text_vocab, self.config.image_vocab);
        let mut from = 0;
        let mut found: Vec<Tensor<2, Int>> = Vec::new();
        for window in 0..plan.windows {
            let [_, count, _] = x.dims();
            let states =
                self.network.forward(x, (from, &rotary), padding.as_ref(), Some(&mut caches), &mut Trace::none());
            from += count;
            let logits = self.network.unshuffle(states.narrow(1, count - 1, 1), &mut Trace::none());
            let logits = logits.narrow(2, first_code, codes).reshape([all * size, codes]);
            let places = window * size..(window + 1) * size;
            let logits = Turns::apply(self.config.turns.as_ref(), logits, self.windows.positions().get(places));
            let half = rows * size;
            let (conditional, unconditional) = match is_guided {
                true => (logits.clone().narrow(0, 0, half), Some(logits.narrow(0, half, half))),
                false => (logits, None),
            };
            let scale = match plan.interval.is_some_and(|interval| window > interval) {
                true => 1.0,
                false => plan.schedule.scale(f64::from(plan.scale), window, plan.windows) as f32,
            };
            let ids = choose(conditional, unconditional, scale, window).reshape([rows, size]);
            let ids = kept.map_or(ids.clone(), |kept| kept.put(ids, window * size));
            found.push(ids.clone());
            let so_far = || known(&found, self.windows.positions());
            if on_step(&Step::of_ids(window, plan.windows, &so_far)).is_break() {
                return Err(GeneratorError::Stopped(window));
            }
            let ids = ids + i64::try_from(first_code).unwrap_or(0);
            let ids = if is_guided { Tensor::cat(vec![ids.clone(), ids], 0) } else { ids };
            x = self.network.shuffle(ids, &mut Trace::none());
        }
        let missing = (self.windows.count() - plan.windows) * size;
        if missing > 0 {
            found.push(Tensor::zeros([rows, missing], &device));
        }
        Ok(Tensor::cat(found, 1))
    }

    /// `[bos, text, boi]` of each row as the trunk reads it, and which positions in front of the shorter ones are padding. Rotary
    /// positions tell distances alone, so that padding in front changes nothing.
    fn prompt(&self, text: &[Vec<u32>]) -> (Tensor<3>, Option<Padding>) {
        let (rows, device) = (text.len(), self.network.device());
        let longest = text.iter().map(Vec::len).max().unwrap_or(0);
        let (bos, boi) = (self.config.bos_id, self.config.boi_id);
        let ids = text.iter().flat_map(|text| {
            let padding = std::iter::repeat_n(bos, longest - text.len() + 1);
            padding.chain(text.iter().copied()).chain([boi])
        });
        let ids: Vec<i32> = ids.map(|id| i32::try_from(id).unwrap_or(0)).collect();
        let kept = text.iter().flat_map(|text| {
            let padded = longest - text.len();
            (0..longest + 2).map(move |at| at >= padded)
        });
        let kept: Vec<bool> = kept.collect();
        let x = self.network.embed(Tensor::from_data(TensorData::new(ids, [rows, longest + 2]), &device));
        (x, Padding::new(&kept, rows, &device))
    }

    /// Whether a row says nothing.
    fn is_empty(&self, text: &[u32]) -> bool {
        text.iter().all(|&id| id == self.config.bos_id)
    }

    fn in_layout(&self, groups: Tensor<2, Int>) -> Tensor<2, Int> {
        groups.select(1, index(self.windows.places(), &self.network.device()))
    }

    /// Text ids of what a caller asks for.
    fn text(&self, condition: &Condition) -> Result<Vec<Vec<u32>>, GeneratorError> {
        match (condition, &self.config.words) {
            (Condition::Unconditional(rows), _) => Ok(vec![self.config.caption(&[]); *rows]),
            (Condition::Captions(captions), Some(words)) => {
                let most = self.config.caption_len.unwrap_or(usize::MAX);
                captions.iter().map(|caption| Ok(self.config.caption(&words.ids(caption, most)?))).collect()
            }
            (other, words) => {
                let expected = match words {
                    Some(_) => "captions of words",
                    None => "nothing: its configuration holds no words",
                };
                Err(GeneratorError::UnfitCondition { expected: expected.to_owned(), found: other.kind().to_owned() })
            }
        }
    }
}

impl Generator for TokenShuffle {
    fn info(&self) -> &GeneratorInfo {
        &self.info
    }

    fn halve_weights(&mut self) -> bool {
        self.network = half_weights(self.network.clone());
        true
    }

    /// One step for each window. Ids of a window are drawn independently of one another. The scale of guidance is the
    /// configuration's `cfg_scale` where the options say nothing, and rises to it over the first half of the windows.
    fn generate(
        &self,
        condition: &Condition,
        options: &GenerateOptions,
        on_step: &mut dyn FnMut(&Step<'_>) -> ControlFlow<()>,
    ) -> Result<Generated, GeneratorError> {
        options.sampling.check()?;
        let text = self.text(condition)?;
        let rows = text.len();
        let size = self.windows.size();
        let invalid =
            |option, expected: String, found: String| Err(GeneratorError::InvalidOption { option, expected, found });
        if rows == 0 {
            return invalid("count", "at least one".to_owned(), "0".to_owned());
        }
        let scale = options.guidance_scale.unwrap_or(self.config.cfg_scale);
        if !(scale >= 0.0 && scale.is_finite()) {
            return invalid("guidance", "a number from 0 on".to_owned(), scale.to_string());
        }
        let keep = match (options.keep, &self.info.layout) {
            (None, _) => None,
            (Some(keep), TokenLayout::Ordered { .. }) if (1..=self.info.layout.positions()).contains(&keep) => {
                Some(keep)
            }
            (Some(keep), TokenLayout::Ordered { len }) => {
                return invalid("tokens", format!("1 to {len} tokens"), keep.to_string());
            }
            (Some(keep), _) => {
                let expected = "none: the tokens of a grid have no leading ones".to_owned();
                return invalid("tokens", expected, keep.to_string());
            }
        };
        let plan = Plan {
            scale,
            schedule: options.guidance_schedule.unwrap_or(self.config.guidance_schedule),
            interval: options.guidance_interval,
            windows: keep.map_or(self.windows.count(), |keep| keep.div_ceil(size)),
        };
        let sampling: Sampling = options.sampling.or(self.config.sampling.unwrap_or_default());
        let device = self.network.device();
        let kept = options.given.as_ref();
        let kept =
            kept.map(|given| Kept::of(given, &self.info, rows, self.windows.positions(), &device)).transpose()?;
        let mut choose = |conditional, unconditional, scale, window: usize| {
            draw(conditional, unconditional, scale, sampling, options.seed, window as u64)
        };
        let groups = self.decode(&text, &plan, kept.as_ref(), &mut choose, on_step)?;
        let ids = read_ids(self.in_layout(groups))?;
        let Content::Codes { vocab } = &self.info.content else {
            return Err(GeneratorError::Unfit("a generator of codes".to_owned()));
        };
        let fingerprint = self.info.tokenizer.unwrap_or_default();
        let tokens = Tokens::new(ids, rows, self.info.layout.clone(), vocab.clone(), fingerprint)?;
        Ok(Generated::Tokens(match keep {
            Some(keep) => tokens.prefix(keep)?,
            None => tokens,
        }))
    }
}
