//! The generator: loading, and the trait.

use std::ops::ControlFlow;

use burn::tensor::{Device, Tensor};
use tessera_layers::checkpoint::Weights;
use tessera_layers::{ParamSource, ParamSpec, Params, half_weights, load_strict};
use tessera_tokenizers::{Fingerprint, Latents, LoadError};

use super::sampling::{Listener, SeededNoise, XarPlan, sample};
use super::{XarConfig, XarNetwork, XarPrompt};
use crate::{
    Condition, Content, GenerateOptions, Generated, Generator, GeneratorError, GeneratorInfo, Given, GuidanceSchedule,
    Step,
};

/// An xAR ready to sample.
pub struct Xar {
    network: XarNetwork,
    config: XarConfig,
    info: GeneratorInfo,
}

/// The parameters of a checkpoint, by released name and shape; allocates no weights. Released files hold [`buffers`] beside them (the
/// mask, rotary tables), which are computed here.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit together.
pub fn listing(config: &XarConfig) -> Result<Vec<ParamSpec>, LoadError> {
    let source = ParamSource::listing();
    XarNetwork::new(&source.root(), config)?;
    Ok(source.into_taken())
}

/// Names of the buffers that released files hold beside the parameters.
pub fn buffers(config: &XarConfig) -> Vec<String> {
    let stacks = [("encoder", config.encoder_depth), ("decoder", config.decoder_depth)];
    let of_block = |(stack, block): (&str, usize)| {
        ["freqs", "freqs_cos", "freqs_sin"].map(|table| format!("{stack}_blocks.{block}.attn.rope.{table}"))
    };
    let blocks = stacks.into_iter().flat_map(|(stack, depth)| (0..depth).map(move |block| (stack, block)));
    blocks.flat_map(of_block).chain(["mask".to_owned()]).collect()
}

/// Makes the generator of a checkpoint that holds exactly its parameters, with or without its buffers.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit or a tensor is missing, surplus, misshapen or not finite.
pub fn load(config: &XarConfig, weights: &Weights, device: &Device) -> Result<Xar, LoadError> {
    config.check()?;
    let buffers = buffers(config);
    let buffers: Vec<&str> = buffers.iter().map(String::as_str).collect();
    let make = |params: &Params| XarNetwork::new(params, config);
    let (network, _, _) = load_strict::<_, LoadError>(weights, &buffers, device, make)?;
    Xar::new(network, config)
}

/// A generator with starting values drawn from `seed`.
///
/// # Errors
/// [`LoadError`] if the configuration does not fit.
pub fn random(config: &XarConfig, seed: u64, device: &Device) -> Result<Xar, LoadError> {
    config.check()?;
    let source = ParamSource::seeded(seed, device);
    Xar::new(XarNetwork::new(&source.root(), config)?, config)
}

impl Xar {
    /// A network of this configuration as a generator.
    ///
    /// # Errors
    /// [`LoadError`] if the configuration does not fit together.
    pub fn new(network: XarNetwork, config: &XarConfig) -> Result<Self, LoadError> {
        config.check()?;
        let content = Content::Latents { channels: config.vae_embed_dim };
        let info = GeneratorInfo {
            classes: config.words.is_none().then_some(config.class_num),
            words: config.words.clone(),
            tokenizer: config.tokenizer.as_deref().and_then(Fingerprint::from_hex),
            ..GeneratorInfo::new("xar", config.layout(), content)
        };
        Ok(Self { network, config: config.clone(), info })
    }

    /// The network itself.
    pub fn network(&self) -> &XarNetwork {
        &self.network
    }

    /// Its configuration.
    pub fn config(&self) -> &XarConfig {
        &self.config
    }

    fn prompts(&self, condition: &Condition) -> Result<Vec<XarPrompt>, GeneratorError> {
        match (condition, &self.config.words) {
            (Condition::Unconditional(rows), None) => Ok(vec![XarPrompt::Class(None); *rows]),
            (Condition::Unconditional(rows), Some(_)) => Ok(vec![XarPrompt::Words(Vec::new()); *rows]),
            (Condition::Classes(classes), None) => {
                let of_class = |&class: &u32| {
                    let known = usize::try_from(class).is_ok_and(|class| class < self.config.class_num);
                    match known {
                        true => Ok(XarPrompt::Class(Some(class))),
                        false => Err(GeneratorError::UnknownClass { class, classes: self.config.class_num }),
                    }
                };
                classes.iter().map(of_class).collect()
            }
            (Condition::Captions(captions), Some(words)) => {
                let of_caption = |caption: &String| words.ids(caption, self.config.most_words).map(XarPrompt::Words);
                captions.iter().map(of_caption).collect()
            }
            (other, words) => {
                let expected = match words {
                    Some(_) => "captions of words".to_owned(),
                    None => format!("classes 0..{}", self.config.class_num),
                };
                Err(GeneratorError::UnfitCondition { expected, found: other.kind().to_owned() })
            }
        }
    }

    /// What is given as a sequence of entities, and which entities stay: those whose every position does.
    fn given(&self, given: &Given, rows: usize) -> Result<(Tensor<3>, Vec<bool>), GeneratorError> {
        let Given::Latents(latents, kept) = given else {
            return Err(GeneratorError::Unfit(
                "the generator makes latents: tokens cannot be completed by it".to_owned(),
            ));
        };
        let [items, positions, channels] = latents.vectors.dims();
        let fits = latents.layout == self.info.layout
            && channels == self.config.vae_embed_dim
            && positions == self.info.layout.positions()
            && (items == rows || items == 1)
            && kept.len() == items * positions;
        if !fits || items == 0 {
            return Err(GeneratorError::Unfit(format!(
                "the given latents ({}, {:?}) are not such as the generator makes ({}, {} channels)",
                latents.layout,
                latents.vectors.dims(),
                self.info.layout,
                self.config.vae_embed_dim
            )));
        }
        let entities = self.network.entities();
        let stays = |range: &std::ops::Range<usize>| {
            let positions_of = entities.raster().get(range.clone()).unwrap_or_default();
            (0..items)
                .all(|item| positions_of.iter().all(|at| kept.get(item * positions + at).copied().unwrap_or(false)))
        };
        // Coarser scales stand for what is kept as well as the finest does.
        let stays: Vec<bool> = entities.ranges().iter().map(stays).collect();
        if !stays.contains(&true) {
            let entities = entities.ranges().len();
            return Err(GeneratorError::Unfit(format!(
                "the part that stays holds none of the generator's {entities} entities as a whole: keep a larger one"
            )));
        }
        let vectors = latents.vectors.clone().to_device(&self.network.device());
        let vectors = if items == rows { vectors } else { vectors.repeat_dim(0, rows) };
        Ok((self.network.in_order(vectors), stays))
    }
}

impl Generator for Xar {
    fn info(&self) -> &GeneratorInfo {
        &self.info
    }

    fn halve_weights(&mut self) -> bool {
        self.network = half_weights(self.network.clone());
        true
    }

    /// One step for each entity, each of `options.steps` solver steps. Guidance grows linearly over the entities up to the scale, those
    /// of the configuration where the options say nothing. An entity that is given as a whole stays.
    fn generate(
        &self,
        condition: &Condition,
        options: &GenerateOptions,
        on_step: &mut dyn FnMut(&Step<'_>) -> ControlFlow<()>,
    ) -> Result<Generated, GeneratorError> {
        let invalid = |option, expected: &str, found: String| {
            Err(GeneratorError::InvalidOption { option, expected: expected.to_owned(), found })
        };
        let prompts = self.prompts(condition)?;
        if prompts.is_empty() {
            return invalid("count", "at least one", "0".to_owned());
        }
        let steps = options.steps.unwrap_or(self.config.num_steps);
        if !(2..=1 << 16).contains(&steps) {
            return invalid("steps", "2 to 65536 solver steps of an entity", steps.to_string());
        }
        let scale = options.guidance_scale.unwrap_or(self.config.cfg);
        if !(scale >= 0.0 && scale.is_finite()) {
            return invalid("guidance", "a number from 0 on", scale.to_string());
        }
        if let Some(keep) = options.keep {
            return invalid("tokens", "none: latents of a grid have no leading ones", keep.to_string());
        }
        let plan = XarPlan {
            steps,
            scale,
            schedule: options.guidance_schedule.unwrap_or(GuidanceSchedule::Linear),
            solver: options.solver.unwrap_or(self.config.solver),
        };
        let (rows, device) = (prompts.len(), self.network.device());
        let given = options.given.as_ref().map(|given| self.given(given, rows)).transpose()?;
        let (given, stays) = match &given {
            Some((given, stays)) => (Some(given), stays.as_slice()),
            None => (None, [].as_slice()),
        };
        let mut noise = SeededNoise::new(options.seed, rows, &device);
        let of = self.network.entities().ranges().len();
        let mut listener = Listener {
            on_step: &mut |_| {},
            on_entity: &mut |entity, so_far| {
                let latents = || self.padded(so_far.clone());
                on_step(&Step::of_latents(entity, of, &latents))
            },
        };
        let sequence = sample(&self.network, &prompts, &plan, (given, stays), false, &mut noise, &mut listener)?;
        let vectors = self.network.in_layout(sequence);
        Ok(Generated::Latents(Latents { vectors, layout: self.info.layout.clone() }))
    }
}

impl Xar {
    /// Entities so far as latents, row by row: zeros where nothing is there yet; of scales the last, enlarged.
    fn padded(&self, so_far: Tensor<3>) -> Tensor<3> {
        let entities = self.network.entities();
        let [rows, done, channels] = so_far.dims();
        let range = entities.ranges().iter().rfind(|range| range.end == done).cloned();
        if entities.is_scale()
            && let Some(range) = range
        {
            let scale = so_far.narrow(1, range.start, range.len());
            return scale.select(1, crate::kept::index(entities.enlarged(&range), &self.network.device()));
        }
        let missing = Tensor::zeros([rows, entities.len() - done, channels], &self.network.device());
        self.network.in_layout(Tensor::cat(vec![so_far, missing], 1))
    }
}
