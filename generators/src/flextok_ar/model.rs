//! The generator: loading, decoding token by token, guidance.

use std::ops::ControlFlow;

use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tessera_layers::checkpoint::Weights;
use tessera_layers::{ParamResult, ParamSource, ParamSpec, Params, Trace, load_strict};
use tessera_tokenizers::{Fingerprint, LoadError, TokenLayout, Tokens};

use super::{FlexTokArConfig, FlexTokArNetwork, Label};
use crate::cache::KeyValueCache;
use crate::{Condition, Content, GenerateOptions, Generated, Generator, GeneratorError, GeneratorInfo, Step};

/// The guidance scale of class conditions where nothing else is asked for.
const GUIDANCE: f32 = 1.5;

/// A generator ready to sample.
pub struct FlexTokAr {
    network: FlexTokArNetwork,
    config: FlexTokArConfig,
    info: GeneratorInfo,
    device: Device,
}

/// What the second sequence of guidance is conditioned on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GuidanceForm {
    /// Nothing, at every token.
    #[default]
    Intended,
    /// Nothing at the first token and class 0 from the second on, as the official code has it by mistake: for comparison with
    /// its results only.
    Reference,
}

/// Greedy decoding and the logits that led to it.
#[derive(Debug, Clone)]
pub struct Greedy {
    /// `[rows, tokens]`, row by row.
    pub ids: Vec<u32>,
    /// After guidance, `[tokens, rows, codes]`.
    pub logits: Tensor<3>,
}

/// The tensors of a checkpoint, by name and shape; allocates no weights.
///
/// # Errors
/// Whatever the source of the parameters reports.
pub fn listing(config: &FlexTokArConfig) -> ParamResult<Vec<ParamSpec>> {
    let source = ParamSource::listing();
    FlexTokArNetwork::new(&source.root(), config)?;
    Ok(source.into_taken())
}

/// Makes the generator of a checkpoint that holds exactly its tensors.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit or a tensor is missing, surplus, misshapen or not finite.
pub fn load(config: &FlexTokArConfig, weights: &Weights, device: &Device) -> Result<FlexTokAr, LoadError> {
    config.check()?;
    let make = |params: &Params| Ok(FlexTokArNetwork::new(params, config)?);
    let (network, _, _) = load_strict::<_, LoadError>(weights, &[], device, make)?;
    Ok(FlexTokAr { network, info: info(config), config: config.clone(), device: device.clone() })
}

/// A generator with starting values drawn from `seed`.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit.
pub fn random(config: &FlexTokArConfig, seed: u64, device: &Device) -> Result<FlexTokAr, LoadError> {
    config.check()?;
    let source = ParamSource::seeded(seed, device);
    let network = FlexTokArNetwork::new(&source.root(), config)?;
    Ok(FlexTokAr { network, info: info(config), config: config.clone(), device: device.clone() })
}

impl FlexTokAr {
    /// The network itself.
    pub fn network(&self) -> &FlexTokArNetwork {
        &self.network
    }

    /// Its configuration.
    pub fn config(&self) -> &FlexTokArConfig {
        &self.config
    }

    /// The most likely token each time, with guidance of `scale` (`None` for none).
    ///
    /// # Errors
    /// [`GeneratorError`] if a label is unknown, there are more tokens than the model has, or a result cannot be read.
    pub fn greedy(
        &self,
        labels: &[Label],
        tokens: usize,
        scale: Option<f32>,
        form: GuidanceForm,
    ) -> Result<Greedy, GeneratorError> {
        let mut all = Vec::with_capacity(tokens);
        let ids = self.decode(labels, tokens, scale, form, &mut |logits| {
            let [rows, codes] = logits.dims();
            all.push(logits.clone().reshape([1, rows, codes]));
            ids_of(logits.argmax(1).reshape([rows]))
        })?;
        Ok(Greedy { ids, logits: Tensor::cat(all, 0) })
    }

    /// Decodes `tokens` tokens for each label; `choose` picks ids `[rows]` of guided logits `[rows, codes]`.
    fn decode(
        &self,
        labels: &[Label],
        tokens: usize,
        scale: Option<f32>,
        form: GuidanceForm,
        choose: &mut dyn FnMut(Tensor<2>) -> Result<Vec<u32>, GeneratorError>,
    ) -> Result<Vec<u32>, GeneratorError> {
        self.check(labels, tokens)?;
        let rows = labels.len();
        let mut conditions = labels.to_vec();
        if scale.is_some() {
            conditions.extend(std::iter::repeat_n(None, rows));
        }
        let mut caches = self.network.caches(conditions.len(), tokens);
        let mut columns: Vec<Vec<u32>> = Vec::with_capacity(tokens);
        for index in 0..tokens {
            let mut first = index;
            if index == 1 && scale.is_some() && form == GuidanceForm::Reference {
                conditions.iter_mut().skip(rows).for_each(|condition| *condition = Some(0));
                caches.iter_mut().for_each(KeyValueCache::clear);
                first = 0;
            }
            let last = columns.last().filter(|_| index > 0).map(|ids| self.upload(ids, conditions.len()));
            let x = self.network.embed(last, &conditions, first);
            let logits = self.network.forward(x, Some(&mut caches), &mut Trace::none());
            let [all, count, codes] = logits.dims();
            let logits = logits.slice([0..all, count - 1..count]).reshape([all, codes]);
            let logits = match scale {
                Some(scale) => {
                    let (cond, uncond) = (logits.clone().narrow(0, 0, rows), logits.narrow(0, rows, rows));
                    uncond.clone() + (cond - uncond).mul_scalar(scale)
                }
                None => logits,
            };
            columns.push(choose(logits)?);
        }
        Ok((0..rows).flat_map(|row| columns.iter().filter_map(move |ids| ids.get(row).copied())).collect())
    }

    /// Ids of one position `[rows]` as `[all, 1]`, repeated for the second half of guided rows.
    fn upload(&self, ids: &[u32], all: usize) -> Tensor<2, Int> {
        let ids: Vec<i32> = ids.iter().cycle().take(all).map(|&id| i32::try_from(id).unwrap_or(0)).collect();
        Tensor::from_data(TensorData::new(ids, [all, 1]), &self.device)
    }

    fn check(&self, labels: &[Label], tokens: usize) -> Result<(), GeneratorError> {
        let classes = self.config.num_classes;
        let unknown = |class: &u32| usize::try_from(*class).map_or(true, |class| class >= classes);
        if let Some(class) = labels.iter().flatten().copied().find(unknown) {
            return Err(GeneratorError::UnknownClass { class, classes });
        }
        if (1..=self.config.num_tokens).contains(&tokens) {
            return Ok(());
        }
        let expected = format!("1 to {} tokens", self.config.num_tokens);
        Err(GeneratorError::InvalidOption { option: "keep", expected, found: tokens.to_string() })
    }
}

impl Generator for FlexTokAr {
    fn info(&self) -> &GeneratorInfo {
        &self.info
    }

    /// One step for each token. A temperature of 0 takes the most likely token; the guidance scale is 1.5 for classes where
    /// the options say nothing, and 0 or 1 leave it out.
    fn generate(
        &self,
        condition: &Condition,
        options: &GenerateOptions,
        on_step: &mut dyn FnMut(&Step<'_>) -> ControlFlow<()>,
    ) -> Result<Generated, GeneratorError> {
        let labels: Vec<Label> = match condition {
            Condition::Classes(classes) => classes.iter().copied().map(Some).collect(),
            Condition::Unconditional(samples) => vec![None; *samples],
            other => {
                let expected = format!("classes 0..{}", self.config.num_classes);
                return Err(GeneratorError::UnfitCondition { expected, found: other.kind().to_owned() });
            }
        };
        let (positions, rows) = (self.config.num_tokens, labels.len());
        let keep = options.keep.unwrap_or(positions);
        options.sampling.check()?;
        let temperature = options.sampling.temperature.unwrap_or(1.0);
        let scale = options.guidance_scale.unwrap_or(GUIDANCE);
        let guided = matches!(condition, Condition::Classes(_)) && scale != 0.0 && scale != 1.0;
        let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
        let mut known: Vec<Option<u32>> = vec![None; rows * positions];
        let mut index = 0;
        let ids = self.decode(&labels, keep, guided.then_some(scale), GuidanceForm::Intended, &mut |logits| {
            let ids = match temperature {
                0.0 => ids_of(logits.argmax(1).reshape([rows]))?,
                _ => {
                    let uniform: Vec<f32> = (0..rows).map(|_| rng.random()).collect();
                    draw(logits, temperature, &uniform)?
                }
            };
            for (row, &id) in ids.iter().enumerate() {
                if let Some(place) = known.get_mut(row * positions + index) {
                    *place = Some(id);
                }
            }
            index += 1;
            let so_far = || Ok(known.clone());
            match on_step(&Step::of_ids(index - 1, keep, &so_far)) {
                ControlFlow::Continue(()) => Ok(ids),
                ControlFlow::Break(()) => Err(GeneratorError::Stopped(index - 1)),
            }
        })?;
        // Positions behind the last token hold 0 and are not kept.
        let padded =
            ids.chunks(keep.max(1)).flat_map(|row| row.iter().copied().chain(std::iter::repeat_n(0, positions - keep)));
        let (layout, vocab) = (self.info.layout.clone(), vec![codes(&self.config)]);
        let tokens = Tokens::new(padded.collect(), rows, layout, vocab, Fingerprint::default())?;
        Ok(Generated::Tokens(if keep < positions { tokens.prefix(keep)? } else { tokens }))
    }
}

fn codes(config: &FlexTokArConfig) -> u32 {
    u32::try_from(config.codebook_size).unwrap_or(u32::MAX)
}

fn info(config: &FlexTokArConfig) -> GeneratorInfo {
    let layout = TokenLayout::Ordered { len: u32::try_from(config.num_tokens).unwrap_or(u32::MAX) };
    let content = Content::Codes { vocab: vec![codes(config)] };
    GeneratorInfo { classes: Some(config.num_classes), ..GeneratorInfo::new("flextok-ar", layout, content) }
}

fn ids_of(ids: Tensor<1, Int>) -> Result<Vec<u32>, GeneratorError> {
    let id = |id: i64| u32::try_from(id).map_err(|_| GeneratorError::Device(format!("the device returned id {id}")));
    ids.into_data().iter::<i64>().map(id).collect()
}

/// Ids of logits `[rows, codes]`: the first whose cumulative probability exceeds the row's uniform number.
fn draw(logits: Tensor<2>, temperature: f32, uniform: &[f32]) -> Result<Vec<u32>, GeneratorError> {
    let [_, codes] = logits.dims();
    let values: Vec<f32> = logits.into_data().iter().collect();
    let rows = values.chunks(codes.max(1)).zip(uniform);
    rows.map(|(row, uniform)| {
        let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let weight = |logit: &f32| f64::from((logit - highest) / temperature).exp();
        let wanted = f64::from(*uniform) * row.iter().map(weight).sum::<f64>();
        let mut sum = 0.0;
        let place = row.iter().position(|logit| {
            sum += weight(logit);
            sum > wanted
        });
        let place = place.unwrap_or(row.len().saturating_sub(1));
        u32::try_from(place).map_err(|_| GeneratorError::Device(format!("code {place}")))
    })
    .collect()
}
