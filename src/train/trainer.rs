//! The training loop.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use burn::tensor::Device;
use tessera_generators::{GeneratorConfig, Words};
use tessera_tokenizers::ModelConfig;
use tessera_tokenizers::quantizers::CodeCounts;

use super::adversary::Adversary;
use super::architecture::{Architecture, read_architecture};
use super::autoencoder_kl::AutoencoderKlObjective;
use super::checkpoint::{Checkpoints, read_state, write};
use super::decoder::DecoderObjective;
use super::dualtoken::DualTokenObjective;
use super::ema::Ema;
use super::feed::Feed as _;
use super::flextok::FlexTokObjective;
use super::generator::{GeneratorObjective, OnCodes};
use super::llamagen_vq::LlamaGenVqObjective;
use super::metrics::{Line, Metrics, TrainLine, ValidationLine};
use super::next_scale::NextScaleObjective;
use super::objective::Objective;
use super::on_pictures::OnPictures;
use super::one_d_piece::OneDPieceObjective;
use super::optimizer::NamedOptimizer;
use super::parameters::Parameters;
use super::perceptual::Perceptual;
use super::schedule::learning_rate;
use super::seed_pixels::SeedPixelsObjective;
use super::token_shuffle::TokenShuffleObjective;
use super::tokenflow::TokenFlowObjective;
use super::tokenflow_t2i::TokenFlowT2iObjective;
use super::tower::TowerObjective;
use super::training::Training;
use super::training_codes::{CodesOf, TrainingCodes};
use super::vat::VatTraining;
use super::window::Window;
use super::xar::XarObjective;
use super::{Stage, TrainConfig, TrainError};

mod picture_terms;
mod saving;
mod step;

/// What a run tells while it goes on.
pub enum Event<'a> {
    /// Pictures or shapes go through the tokenizer, before a generator's training starts.
    Encoded {
        /// Items done.
        done: usize,
        /// Items in all.
        of: usize,
    },
    /// It starts, or goes on, after this many steps.
    Start {
        /// Steps done.
        step: u64,
        /// Trained parameters.
        parameters: usize,
        /// Pictures, or shapes, of each source; nothing for an endless one.
        pictures: &'a [usize],
    },
    /// A step is done.
    Step {
        /// Steps done.
        step: u64,
        /// Seconds that the rest will take at the speed so far.
        remaining: Duration,
    },
    /// A line of `metrics.jsonl` was written.
    Line(&'a Line),
    /// A checkpoint was written.
    Checkpoint(&'a Path),
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Steps done.
    pub step: u64,
    /// The last validation.
    pub validation: Option<ValidationLine>,
    /// Pictures that could not be read, and why.
    pub skipped: Vec<(String, String)>,
    /// Seconds of training over all runs.
    pub seconds: f64,
    /// Whether all steps were done.
    pub is_finished: bool,
}

/// Trains the tokenizer, autoencoder or generator that `config` describes, on `device` (which needs no autodiff yet), into the folder `out`.
///
/// `resume` goes on from the last checkpoint in `out`, and starts where there is none. `on_event` may stop the run after
/// any step; a checkpoint is then written first.
///
/// # Errors
/// [`TrainError`]; what was written up to then is whole.
pub fn train(
    config: &TrainConfig,
    out: &Path,
    device: &Device,
    resume: bool,
    on_event: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
) -> Result<Summary, TrainError> {
    config.check()?;
    let trained = device.clone().autodiff();
    let run = Run { config, out, device, resume };
    let unknown = || TrainError::Invalid {
        key: "model.architecture",
        expected:
            "a One-D-Piece, TiTok, FlexTok, LlamaGen VQ, SEED with pixels, TokenFlow, DualToken, AutoencoderKL, VAT, \
             next-token generator, NAR, Token-Shuffle, xAR, next-scale generator or TokenFlow's generator"
                .to_owned(),
        found: "an architecture that tessera does not train".to_owned(),
    };
    let architecture = read_architecture(&config.model.architecture)?;
    // A VAT and its generators learn from shapes.
    if !matches!(
        architecture,
        Architecture::Codec(ModelConfig::Vat(_))
            | Architecture::Generator(_)
            | Architecture::ScaleAr(_)
            | Architecture::TokenFlowT2i(_)
    ) {
        config.check_sources()?;
    }
    match architecture {
        Architecture::Codec(ModelConfig::Vat(architecture)) => {
            let (training, feed, network) = VatTraining::new(config, architecture, device)?;
            Trainer::new(&run, training, feed, network)?.run(on_event)
        }
        Architecture::Codec(ModelConfig::OneDPiece(architecture)) => {
            run.on_pictures(OneDPieceObjective::new(config, architecture, &trained)?, on_event)
        }
        Architecture::Codec(ModelConfig::AutoencoderKl(architecture)) => {
            run.on_pictures(AutoencoderKlObjective::new(config, architecture, &trained)?, on_event)
        }
        Architecture::Codec(ModelConfig::FlexTok(architecture)) => {
            run.on_pictures(FlexTokObjective::new(config, architecture, &trained)?, on_event)
        }
        Architecture::Codec(ModelConfig::LlamaGenVq(architecture)) => {
            run.on_pictures(LlamaGenVqObjective::new(config, architecture, &trained)?, on_event)
        }
        Architecture::Codec(ModelConfig::SeedPixels(architecture)) => {
            run.on_pictures(SeedPixelsObjective::new(config, architecture, &trained)?, on_event)
        }
        Architecture::Codec(ModelConfig::TokenFlow(architecture)) if config.loss.stage == Stage::Tower => {
            run.on_pictures(TowerObjective::tokenflow(config, architecture, &trained)?, on_event)
        }
        Architecture::Codec(ModelConfig::DualToken(architecture)) if config.loss.stage == Stage::Tower => {
            run.on_pictures(TowerObjective::dualtoken(config, architecture, &trained)?, on_event)
        }
        Architecture::Codec(ModelConfig::TokenFlow(architecture)) => {
            run.on_pictures(TokenFlowObjective::new(config, architecture, &trained)?, on_event)
        }
        Architecture::Codec(ModelConfig::DualToken(architecture)) => {
            run.on_pictures(DualTokenObjective::new(config, architecture, &trained)?, on_event)
        }
        Architecture::Generator(GeneratorConfig::Decoder(architecture)) => {
            let codes = run.codes(CodesOf::Ids, on_event)?;
            let (objective, network) = DecoderObjective::new(config, architecture, &codes, &trained)?;
            let words = objective.words();
            run.on_codes((objective, network), codes, words, on_event)
        }
        Architecture::Generator(GeneratorConfig::TokenShuffle(architecture)) => {
            let codes = run.codes(CodesOf::Ids, on_event)?;
            let (objective, network) = TokenShuffleObjective::new(config, architecture, &codes, &trained)?;
            let words = objective.words();
            run.on_codes((objective, network), codes, words, on_event)
        }
        Architecture::ScaleAr(document) => {
            let codes = run.codes(CodesOf::Scales, on_event)?;
            let (objective, network) = NextScaleObjective::new(config, document, &codes, &trained)?;
            let words = objective.words();
            run.on_codes((objective, network), codes, words, on_event)
        }
        Architecture::TokenFlowT2i(document) => {
            let codes = run.codes(CodesOf::Ids, on_event)?;
            let (objective, network) = TokenFlowT2iObjective::new(config, document, &codes, &trained)?;
            let words = objective.words();
            run.on_codes((objective, network), codes, words, on_event)
        }
        Architecture::Generator(GeneratorConfig::Xar(architecture)) => {
            let codes = run.codes(CodesOf::Latents, on_event)?;
            let (objective, network) = XarObjective::new(config, architecture, &codes, &trained)?;
            let words = objective.words();
            run.on_codes((objective, network), codes, words, on_event)
        }
        _ => Err(unknown()),
    }
}

/// What all trainings are told alike.
struct Run<'a> {
    config: &'a TrainConfig,
    out: &'a Path,
    device: &'a Device,
    resume: bool,
}

/// Hears of a run, and may stop it.
type OnEvent<'a> = &'a mut dyn FnMut(Event<'_>) -> ControlFlow<()>;

impl Run<'_> {
    fn on_pictures<O: Objective>(
        &self,
        (objective, network): (O, O::Network),
        on_event: OnEvent<'_>,
    ) -> Result<Summary, TrainError> {
        let (training, feed) = OnPictures::new(self.config, objective, self.device)?;
        Trainer::new(self, training, feed, network)?.run(on_event)
    }

    /// What a generator learns from.
    fn codes(&self, of: CodesOf, on_event: OnEvent<'_>) -> Result<TrainingCodes, TrainError> {
        TrainingCodes::open(self.config, of, self.out, self.device, &mut |done, of| {
            // Encoding is kept shard by shard; there is nothing to stop.
            let _ = on_event(Event::Encoded { done, of });
        })
    }

    fn on_codes<O: GeneratorObjective>(
        &self,
        (objective, network): (O, O::Network),
        codes: TrainingCodes,
        words: (Option<Words>, usize),
        on_event: OnEvent<'_>,
    ) -> Result<Summary, TrainError> {
        let (training, feed) = OnCodes::new(self.config, objective, codes, words, self.device);
        Trainer::new(self, training, feed, network)?.run(on_event)
    }
}

struct Trainer<'a, T: Training> {
    config: &'a TrainConfig,
    out: &'a Path,
    device: &'a Device,
    training: T,
    feed: T::Feed,
    network: T::Network,
    parameters: Parameters,
    optimizer: NamedOptimizer,
    ema: Ema,
    adversary: Option<Adversary>,
    perceptual: Option<Perceptual>,
    codes: CodeCounts,
    checkpoints: Checkpoints,
    metrics: Metrics,
    settings: String,
    essence: String,
    step: u64,
    seconds: f64,
    sheet: Option<Vec<u8>>,
}

impl<'a, T: Training> Trainer<'a, T> {
    fn new(run: &Run<'a>, training: T, feed: T::Feed, network: T::Network) -> Result<Self, TrainError> {
        let Run { config, out, device, resume } = *run;
        std::fs::create_dir_all(out).map_err(|source| TrainError::Io { path: out.to_owned(), source })?;
        let checkpoints = Checkpoints::new(out, config.run.keep_checkpoints);
        let last = checkpoints.last()?;
        if last.is_some() && !resume {
            return Err(TrainError::Folder {
                folder: out.to_owned(),
                found: "holds a run already",
                advice: "go on with --resume, or name another folder",
            });
        }
        let (settings, essence) = (config.to_toml()?, config.essence()?);
        let saved = last.map(|folder| read_state(&folder).map(|state| (folder, state))).transpose()?;
        if saved.as_ref().is_some_and(|(_, state)| state.config != essence) {
            return Err(TrainError::Folder {
                folder: out.to_owned(),
                found: "holds a run with other settings",
                advice: "resume with the settings of its train.toml, or name another folder",
            });
        }
        let trained = device.clone().autodiff();
        let adversary = match training.adversarial_recipe() {
            Some(recipe) if config.loss.adversarial_weight > 0.0 => {
                Some(Adversary::new(&config.loss, &config.optimizer, recipe, config.run.seed, &trained)?)
            }
            _ => None,
        };
        let codes = CodeCounts::new(training.codes());
        let mut trainer = Self {
            config,
            out,
            device,
            parameters: Parameters::new(training.specs()),
            optimizer: NamedOptimizer::new(&config.optimizer),
            ema: Ema::new(config.optimizer.ema_decay),
            adversary,
            perceptual: None,
            codes,
            checkpoints,
            metrics: Metrics::open(out, saved.as_ref().map_or(0, |(_, state)| state.step))?,
            settings,
            essence,
            step: 0,
            seconds: 0.0,
            sheet: None,
            training,
            feed,
            network,
        };
        if let Some((folder, state)) = saved {
            trainer.restore(&folder, state)?;
        }
        write(&out.join("train.toml"), trainer.settings.as_bytes())?;
        Ok(trainer)
    }

    fn run(mut self, on_event: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>) -> Result<Summary, TrainError> {
        let run = &self.config.run;
        let trained: usize = self
            .training
            .specs()
            .iter()
            .filter(|spec| self.training.is_trained(&spec.name))
            .map(|spec| spec.shape.iter().product::<usize>())
            .sum();
        let pictures = self.feed.items();
        let _ = on_event(Event::Start { step: self.step, parameters: trained, pictures: &pictures });
        self.feed.start(self.step * run.accumulate as u64)?;
        let (started, first) = (Instant::now(), self.step);
        let before = self.seconds;
        let codes = self.codes.counts().len();
        let mut window = Window::new(&self.feed, codes);
        let mut judged = None;
        let mut stopped = false;
        while self.step < run.steps && !stopped {
            let rate = learning_rate(&self.config.optimizer, self.step, run.steps);
            let dead_codes = self.one_step(rate, &mut window)?;
            self.step += 1;
            self.seconds = before + started.elapsed().as_secs_f64();
            let done = self.step - first;
            let remaining = started.elapsed().mul_f64((run.steps - self.step) as f64 / done as f64);
            stopped = on_event(Event::Step { step: self.step, remaining }).is_break();
            let is_last = self.step == run.steps;
            if is_last || stopped || self.step.is_multiple_of(run.log_every) {
                let line = TrainLine {
                    step: self.step,
                    learning_rate: rate,
                    dead_codes,
                    skipped: self.feed.skipped().len(),
                    seconds: self.seconds,
                    ..window.line(&self.feed)
                };
                window = Window::new(&self.feed, codes);
                self.push(Line::Train(line), on_event)?;
            }
            if (is_last || self.step.is_multiple_of(self.config.validation.validate_every))
                && let Some(line) = self.validate()?
            {
                judged = Some(line.clone());
                self.push(Line::Validation(line), on_event)?;
            }
            if is_last || stopped || self.step.is_multiple_of(run.checkpoint_every) {
                let path = self.save()?;
                let _ = on_event(Event::Checkpoint(&path));
            }
        }
        self.finish()?;
        Ok(Summary {
            step: self.step,
            validation: judged,
            skipped: self.feed.skipped(),
            seconds: self.seconds,
            is_finished: self.step == run.steps,
        })
    }

    fn push(&mut self, line: Line, on_event: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>) -> Result<(), TrainError> {
        let _ = on_event(Event::Line(&line));
        self.metrics.push(line)
    }

    fn validate(&mut self) -> Result<Option<ValidationLine>, TrainError> {
        let network = self.ema.plain(&self.network, &self.parameters);
        let Some(line) = self.training.judge(&network)? else { return Ok(None) };
        let count = self.config.validation.sample_pictures;
        if count > 0
            && let Some(sheet) = self.training.sheet(&network, count)?
        {
            let folder = self.out.join("samples");
            std::fs::create_dir_all(&folder).map_err(|source| TrainError::Io { path: folder.clone(), source })?;
            let path = folder.join(format!("{:08}.png", self.step));
            tessera_datasets::save_png(&path, &sheet)?;
            self.sheet = std::fs::read(&path).ok();
        }
        Ok(Some(ValidationLine { step: self.step, ..line }))
    }
}
