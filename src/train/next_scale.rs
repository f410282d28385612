//! Training a next-scale generator on the tokens of a tokenizer over scales.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use tessera_generators::next_scale::{
    self, NextScaleConfig, ScaleArConfig, ScaleGenerator, ScaleNetwork, ScalePrompt, taught,
};
use tessera_generators::{Content, Generator, GeneratorInfo, Words};
use tessera_layers::checkpoint::{Weights, locate, read_config};
use tessera_layers::{ParamSpec, Trace};
use tessera_tokenizers::quantizers::ScaleQuantizerConfig;
use tessera_tokenizers::tokenflow::{self, SharedCodes};
use tessera_tokenizers::{ConfigError, LoadError, ModelConfig, TokenLayout};

use super::architecture::open_weights;
use super::codes::CodeBatch;
use super::generator::{GeneratorLosses, GeneratorObjective};
use super::parameters::{Named, Parameters, read_named};
use super::training_codes::TrainingCodes;
use super::{TrainConfig, TrainError};
use crate::default_model::default_shape_files;

/// Mean cross-entropy of all tokens, teacher-forced, with label smoothing and z-loss where wanted. The codes are the tokenizer's, and
/// stay as they are.
pub struct NextScaleObjective {
    config: NextScaleConfig,
    specs: Vec<ParamSpec>,
    label_smoothing: f64,
    z_loss_weight: f64,
    device: Device,
}

/// Where the codes stand among the parameters.
const CODES: &str = "quantizer.";

/// Names of the losses of scales, coarse to fine.
pub(super) const SCALES: [&str; tessera_shaders::MAX_SCALES] = [
    "scale_01", "scale_02", "scale_03", "scale_04", "scale_05", "scale_06", "scale_07", "scale_08", "scale_09",
    "scale_10", "scale_11", "scale_12", "scale_13", "scale_14", "scale_15", "scale_16", "scale_17", "scale_18",
    "scale_19", "scale_20", "scale_21", "scale_22", "scale_23", "scale_24", "scale_25", "scale_26", "scale_27",
    "scale_28", "scale_29", "scale_30", "scale_31", "scale_32",
];

impl NextScaleObjective {
    /// The objective and the network at its start, on an autodiff device. `document` is a configuration of which all but the section
    /// `ar` may be absent: the tokenizer, a VAT or a TokenFlow, says it.
    ///
    /// # Errors
    /// [`TrainError`] if the architecture does not fit the tokenizer, takes features (there are none in training), has fewer classes
    /// than the items, or weights cannot be loaded.
    pub fn new(
        config: &TrainConfig,
        document: Value,
        codes: &TrainingCodes,
        device: &Device,
    ) -> Result<(Self, ScaleNetwork), TrainError> {
        super::objectives::only_single(config, "a generator")?;
        super::token_noise::refuse_noise(config)?;
        let tokenizer = ScaledTokenizer::open(config, codes)?;
        let mut architecture = completed(document, &tokenizer, &config.model.architecture)?;
        check(&mut architecture.ar, codes)?;
        architecture.ar.tokenizer = Some(codes.encoder.fingerprint().hex());
        architecture.ar.cond_drop = config.generator.condition_dropout as f32;
        architecture.check().map_err(LoadError::from)?;
        let vocab = vec![u32::try_from(architecture.quantizer.codebook_size).unwrap_or(u32::MAX)];
        let layout = architecture.quantizer.layout();
        codes.encoder.check(&GeneratorInfo::new("next-scale", layout, Content::Codes { vocab }))?;

        let generator = match &config.model.from {
            Some(from) => next_scale::load(&architecture, &open_weights(from)?, device)?,
            None => next_scale::random(&architecture, config.run.seed, device)?,
        };
        let (network, specs) = generator.into_network();
        let of_codes: Vec<ParamSpec> = specs.iter().filter(|spec| spec.name.starts_with(CODES)).cloned().collect();
        let mut values = tokenizer.values(&of_codes)?;
        let network = Parameters::new(&of_codes)
            .map(network, |spec, old| values.remove(&spec.name).map(|new| new.to_device(&old.device())));
        let section = &config.generator;
        let (label_smoothing, z_loss_weight) = (section.label_smoothing, section.z_loss_weight);
        let device = device.clone().without_autodiff();
        Ok((Self { config: architecture, specs, label_smoothing, z_loss_weight, device }, network))
    }

    /// Words of the captions, and how many of them a caption has at most.
    pub fn words(&self) -> (Option<Words>, usize) {
        (self.config.ar.words.clone(), self.config.ar.most_words)
    }
}

/// A tokenizer over scales, as a generator sees it.
struct ScaledTokenizer {
    sizes: [usize; 2],
    quantizer: ScaleQuantizerConfig,
    weights: Weights,
    /// TokenFlow's.
    pairs: Option<SharedCodes>,
}

impl ScaledTokenizer {
    fn open(config: &TrainConfig, codes: &TrainingCodes) -> Result<Self, TrainError> {
        let unfit = |found: String| TrainError::Invalid {
            key: "generator.tokenizer",
            expected: "a VAT or a TokenFlow, whose tokens a next-scale generator makes".to_owned(),
            found,
        };
        let (document, weights, path) = match config.generator.tokenizer.as_deref() {
            None => {
                let (document, weights) = default_shape_files()?;
                (document, weights, PathBuf::from("built-in tokenizer of shapes"))
            }
            Some(spec) => {
                let is_of_scales = matches!(codes.encoder.layout(), TokenLayout::Scales { .. });
                let files = locate(spec).map_err(LoadError::from)?;
                let path = files.config.filter(|_| is_of_scales).ok_or_else(|| unfit(spec.to_owned()))?;
                let document = read_config(&path).map_err(|error| LoadError::from(error).in_file(&path))?;
                (document, Weights::open(&files.weights)?, path)
            }
        };
        match ModelConfig::from_value(&document).map_err(|error| LoadError::from(error).in_file(&path))? {
            ModelConfig::Vat(vat) => {
                Ok(Self { sizes: [vat.num_latents, vat.latent_dim], quantizer: vat.quantizer, weights, pairs: None })
            }
            ModelConfig::TokenFlow(flow) => {
                let (scales, pairs) = (flow.scales(), tokenflow::codes(&flow, &weights, &Device::flex())?);
                let sizes = [scales.grid() * scales.grid(), flow.code_dim()];
                Ok(Self { sizes, quantizer: scales.quantizer(flow.codebook_size), weights, pairs: Some(pairs) })
            }
            _ => Err(unfit(path.display().to_string())),
        }
    }

    /// What a generator's document says of it.
    fn section(&self) -> Value {
        let [latents, width] = self.sizes;
        let quantizer = serde_json::to_value(&self.quantizer).unwrap_or_default();
        json!({"model_type": "vat", "latent_dim": width, "num_latents": latents, "quantizer": quantizer})
    }

    /// Its codes by the names that a generator has for them, flat.
    fn values(&self, specs: &[ParamSpec]) -> Result<Named, TrainError> {
        let Some(pairs) = &self.pairs else {
            return Ok(read_named(&self.weights, specs, |name| name.starts_with(CODES), &Device::flex())?);
        };
        let of = |spec: &ParamSpec| match spec.name.strip_prefix(CODES) {
            Some("embedding.weight") => pairs.rows().flatten::<1>(0, 1),
            // No convolution follows.
            _ => Tensor::zeros([spec.shape.iter().product::<usize>()], &Device::flex()),
        };
        Ok(specs.iter().map(|spec| (spec.name.clone(), of(spec))).collect())
    }
}

/// The document with what it leaves out of the tokenizer's.
fn completed(mut document: Value, tokenizer: &ScaledTokenizer, path: &Path) -> Result<NextScaleConfig, TrainError> {
    if let (Some(sections), Value::Object(said)) = (document.as_object_mut(), tokenizer.section()) {
        for (key, value) in said {
            sections.entry(key).or_insert(value);
        }
    }
    let read = NextScaleConfig::from_value(&document);
    let config = read.map_err(|error| LoadError::from(error).in_file(path))?;
    if config.quantizer != tokenizer.quantizer || [config.num_latents, config.latent_dim] != tokenizer.sizes {
        let error = ConfigError::invalid(
            "quantizer",
            format!(
                "that of the tokenizer, scales {:?} of {} codes, or none",
                tokenizer.quantizer.scales, tokenizer.quantizer.codebook_size
            ),
            format!("scales {:?} of {} codes", config.quantizer.scales, config.quantizer.codebook_size),
        );
        return Err(LoadError::from(error).in_file(path).into());
    }
    Ok(config)
}

/// Refuses conditions that items do not have, and names the classes.
fn check(ar: &mut ScaleArConfig, codes: &TrainingCodes) -> Result<(), TrainError> {
    let key = "model.architecture";
    if let Some(features) = ar.conditions().first() {
        return Err(TrainError::Invalid {
            key,
            expected: "no features (ar.cond_tokens 0): training knows classes and captions".to_owned(),
            found: format!("{} positions of {:?} features", features.tokens, features.kind),
        });
    }
    let Some(classes) = ar.classes else {
        if ar.words.is_none() && ar.most_words > 0 {
            ar.words = Some(codes.words(ar.most_words)?);
        }
        return Ok(());
    };
    let most = codes.cache.labels().iter().flatten().max().copied().unwrap_or(0);
    if usize::try_from(most).map_or(true, |most| most >= classes) {
        return Err(TrainError::Invalid {
            key,
            expected: format!("ar.classes of at least {}, as many as items have", u64::from(most) + 1),
            found: classes.to_string(),
        });
    }
    if ar.class_names.is_empty() {
        ar.class_names = codes.classes.iter().take(classes).cloned().collect();
    }
    Ok(())
}

impl GeneratorObjective for NextScaleObjective {
    type Network = ScaleNetwork;

    fn specs(&self) -> &[ParamSpec] {
        &self.specs
    }

    fn is_trained(&self, name: &str) -> bool {
        !name.starts_with(CODES)
    }

    fn losses(
        &self,
        network: &ScaleNetwork,
        batch: &CodeBatch,
        _rng: &mut ChaCha8Rng,
    ) -> Result<GeneratorLosses, TrainError> {
        let ids = batch.ids("scales")?;
        let prompt = ScalePrompt::of_items(&self.config.ar, &batch.labels, &batch.captions);
        let taught = taught(network, ids, &prompt, self.label_smoothing, &mut Trace::none());
        let mut others = Vec::new();
        if self.z_loss_weight > 0.0 {
            others.push(("z", self.z_loss_weight, taught.z_loss));
        }
        // Reported, and no part of the sum.
        let scales = taught.by_scale.clone().detach().split(1, 0);
        others.extend(SCALES.iter().zip(scales).map(|(&name, loss)| (name, 0.0, loss)));
        Ok(GeneratorLosses { main: taught.loss, by_position: taught.by_scale, others })
    }

    fn config(&self) -> serde_json::Value {
        self.config.to_value()
    }

    fn generator(&self, network: ScaleNetwork) -> Result<Box<dyn Generator>, TrainError> {
        Ok(Box::new(ScaleGenerator::new(network, &self.config, self.specs.clone(), &self.device)))
    }

    fn main_term(&self) -> &'static str {
        "cross_entropy"
    }
}
