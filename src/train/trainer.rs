//! The training loop.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use tessera_datasets::{Batch, Loader, LoaderOptions, Source, Stream, validation};
use tessera_layers::checkpoint::{Precision, Weights, write_safetensors};

use super::adversary::Adversary;
use super::checkpoint::{Checkpoints, State, read_state, write};
use super::codebook::{CodeCounts, move_codes};
use super::ema::Ema;
use super::metrics::{Line, Metrics, TrainLine, ValidationLine};
use super::objective::{Losses, Objective};
use super::one_d_piece::OneDPieceObjective;
use super::optimizer::NamedAdamW;
use super::parameters::{Named, Parameters};
use super::perceptual::Perceptual;
use super::report::write_report;
use super::schedule::learning_rate;
use super::validation::Validation;
use super::window::{Terms, Window};
use super::{SavePrecision, TrainConfig, TrainError};

/// What a run tells while it goes on.
pub enum Event<'a> {
    /// It starts, or goes on, after this many steps.
    Start {
        /// Steps done.
        step: u64,
        /// Trained parameters.
        parameters: usize,
        /// Pictures of each source.
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

/// What a draw of chance is for.
#[derive(Clone, Copy)]
enum Purpose {
    Losses,
    Codes,
}

/// Trains the tokenizer that `config` describes, on `device` (which needs no autodiff yet), into the folder `out`.
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
    let (objective, network) = OneDPieceObjective::new(config, &trained)?;
    Trainer::new(config, out, device, objective, network, resume)?.run(on_event)
}

struct Trainer<'a, O: Objective> {
    config: &'a TrainConfig,
    out: &'a Path,
    device: &'a Device,
    objective: O,
    network: O::Network,
    parameters: Parameters,
    optimizer: NamedAdamW,
    ema: Ema,
    adversary: Option<Adversary>,
    perceptual: Option<Perceptual>,
    codes: CodeCounts,
    loader: Loader,
    validation: Validation,
    checkpoints: Checkpoints,
    metrics: Metrics,
    settings: String,
    essence: String,
    step: u64,
    seconds: f64,
    sheet: Option<Vec<u8>>,
}

impl<'a, O: Objective> Trainer<'a, O> {
    fn new(
        config: &'a TrainConfig,
        out: &'a Path,
        device: &'a Device,
        objective: O,
        mut network: O::Network,
        resume: bool,
    ) -> Result<Self, TrainError> {
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
        let side = u32::try_from(objective.image_size()).unwrap_or(u32::MAX);
        let options = LoaderOptions {
            image_size: side,
            batch_size: config.run.batch_size,
            seed: config.run.seed,
            strict: config.data.strict,
            workers: config.data.workers,
            prefetch: config.data.prefetch,
            cache_mib: config.data.cache_mib,
        };
        let loader = Loader::new(&config.data.sources, options)?;
        let pictures = match &config.validation.source {
            Some(source) => validation(source, side, config.validation.validation_pictures)?
                .into_iter()
                .map(|example| example.picture)
                .collect(),
            None => Vec::new(),
        };
        let trained = device.clone().autodiff();
        let adversary = match config.loss.adversarial_weight > 0.0 {
            true => Some(Adversary::new(&config.loss, &config.optimizer, config.run.seed, &trained)?),
            false => None,
        };
        let codes = CodeCounts::new(objective.codebook(&mut network).codes());
        let mut trainer = Self {
            config,
            out,
            device,
            parameters: Parameters::new(objective.specs()),
            optimizer: NamedAdamW::new(&config.optimizer),
            ema: Ema::new(config.optimizer.ema_decay),
            adversary,
            perceptual: None,
            codes,
            loader,
            validation: Validation::new(pictures, device.clone()),
            checkpoints,
            metrics: Metrics::open(out, saved.as_ref().map_or(0, |(_, state)| state.step))?,
            settings,
            essence,
            step: 0,
            seconds: 0.0,
            sheet: None,
            objective,
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
            .objective
            .specs()
            .iter()
            .filter(|spec| self.objective.is_trained(&spec.name))
            .map(|spec| spec.shape.iter().product::<usize>())
            .sum();
        let pictures: Vec<usize> = self.loader.sources().iter().map(Source::len).collect();
        let _ = on_event(Event::Start { step: self.step, parameters: trained, pictures: &pictures });
        let mut stream = self.loader.stream(self.step * run.accumulate as u64)?;
        let (started, first) = (Instant::now(), self.step);
        let before = self.seconds;
        let codes = self.codes.counts().len();
        let mut window = Window::new(&stream, codes);
        let mut judged = None;
        let mut stopped = false;
        while self.step < run.steps && !stopped {
            let rate = learning_rate(&self.config.optimizer, self.step, run.steps);
            self.one_step(rate, &mut stream, &mut window)?;
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
                    dead_codes: self.codes.dead().len(),
                    skipped: self.loader.skipped().len(),
                    seconds: self.seconds,
                    ..window.line(&stream)
                };
                window = Window::new(&stream, codes);
                self.push(Line::Train(line), on_event)?;
            }
            if (is_last || self.step.is_multiple_of(self.config.validation.validate_every))
                && !self.validation.is_empty()
            {
                let line = self.validate()?;
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
            skipped: self.loader.skipped(),
            seconds: self.seconds,
            is_finished: self.step == run.steps,
        })
    }

    fn push(&mut self, line: Line, on_event: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>) -> Result<(), TrainError> {
        let _ = on_event(Event::Line(&line));
        self.metrics.push(line)
    }

    /// Forward and backward passes of one step, the optimiser, the average, and the codebook's care.
    fn one_step(&mut self, rate: f64, stream: &mut Stream, window: &mut Window) -> Result<(), TrainError> {
        let passes = self.config.run.accumulate;
        let mut gradients = Named::new();
        let mut latents = None;
        for pass in 0..passes {
            let index = self.step * passes as u64 + pass as u64;
            let batch = stream.next()?;
            let images = to_tensor(batch, &self.device.clone().autodiff());
            let mut rng = self.rng(index, Purpose::Losses);
            let losses = self.objective.losses(&self.network, images.clone(), self.step, &mut rng)?;
            if let Some(indices) = &losses.indices {
                self.codes.add(indices);
                window.add_codes(indices);
            }
            let (total, terms) = self.total(&losses, images.clone())?;
            let mut backward = total.mul_scalar(1.0 / passes as f64).backward();
            for (name, gradient) in self.parameters.gradients(&self.network, &mut backward) {
                if !self.objective.is_trained(&name) {
                    continue;
                }
                let sum = match gradients.remove(&name) {
                    Some(sum) => sum + gradient,
                    None => gradient,
                };
                gradients.insert(name, sum);
            }
            let loss = window.add_pass(terms, images.dims()[0]);
            if !loss.is_finite() {
                return Err(TrainError::Diverged { step: self.step, loss });
            }
            if let (Some(adversary), Some(image)) = (&mut self.adversary, losses.image)
                && self.step >= self.config.loss.adversarial_from
            {
                window.add_term("discriminator", adversary.step(images, image, rate));
            }
            latents = Some(losses.latents);
        }
        let (network, norm) = self.optimizer.step(rate, self.network.clone(), &self.parameters, gradients);
        self.network = network;
        window.add_step(norm);
        self.ema.update(&self.network, &self.parameters, |name| self.objective.is_trained(name));
        if let Some(latents) = latents {
            self.tend_codebook(latents);
        }
        Ok(())
    }

    /// The weighted sum of all terms, and the terms.
    fn total(&mut self, losses: &Losses, images: Tensor<4>) -> Result<(Tensor<1>, Terms), TrainError> {
        let weights = &self.config.loss;
        let mut terms = vec![(self.objective.reconstruction_name(), losses.reconstruction.clone())];
        let mut total = losses.reconstruction.clone().mul_scalar(weights.reconstruction_weight);
        if let Some(quantizer) = &losses.quantizer {
            total = total + quantizer.clone().mul_scalar(weights.quantizer_weight);
            terms.push(("quantizer", quantizer.clone()));
        }
        if let Some(image) = &losses.image {
            if weights.perceptual_weight > 0.0 && self.step >= weights.perceptual_from {
                let net = match &mut self.perceptual {
                    Some(net) => net,
                    empty => empty.insert(Perceptual::new(self.device)?),
                };
                let distance = net.loss(image.clone(), images);
                total = total + distance.clone().mul_scalar(weights.perceptual_weight);
                terms.push(("effd", distance));
            }
            if let Some(adversary) = &self.adversary
                && self.step >= weights.adversarial_from
            {
                let fooled = adversary.generator_loss(image.clone());
                total = total + fooled.clone().mul_scalar(weights.adversarial_weight);
                terms.push(("adversarial", fooled));
            }
        }
        terms.push(("total", total.clone()));
        Ok((total, terms))
    }

    /// Starts the codebook from latents after the free steps, and moves dead codes onto latents.
    fn tend_codebook(&mut self, latents: Tensor<3>) {
        let care = &self.config.codebook;
        let done = self.step + 1;
        let codes: Vec<usize> = if done == care.free_steps {
            (0..self.codes.counts().len()).collect()
        } else if care.reseed_every > 0
            && done > care.free_steps
            && done <= care.reseed_until
            && (done - care.free_steps).is_multiple_of(care.reseed_every)
        {
            self.codes.dead()
        } else {
            return;
        };
        let mut rng = self.rng(self.step, Purpose::Codes);
        let quantizer = self.objective.codebook(&mut self.network);
        move_codes(quantizer, &codes, latents, &mut rng);
        self.ema.adopt_rows(&self.network, &self.parameters, self.objective.codebook_name(), &codes);
        self.codes.clear();
    }

    fn rng(&self, index: u64, purpose: Purpose) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.config.run.seed ^ 0x7e55_e7a0_0000_0000);
        rng.set_stream(index * 2 + purpose as u64);
        rng
    }

    fn validate(&mut self) -> Result<ValidationLine, TrainError> {
        let mut network = self.ema.plain(&self.network, &self.parameters);
        let judged = self.validation.judge(&self.objective, &mut network)?;
        if self.config.validation.sample_pictures > 0 {
            let sheet = self.validation.sheet(&self.objective, &network, self.config.validation.sample_pictures)?;
            let folder = self.out.join("samples");
            std::fs::create_dir_all(&folder).map_err(|source| TrainError::Io { path: folder.clone(), source })?;
            let path = folder.join(format!("{:08}.png", self.step));
            tessera_datasets::save_png(&path, &sheet)?;
            self.sheet = std::fs::read(&path).ok();
        }
        Ok(ValidationLine { step: self.step, psnr: judged.psnr, usage: judged.usage, perplexity: judged.perplexity })
    }

    fn save(&self) -> Result<std::path::PathBuf, TrainError> {
        let specs = self.objective.specs();
        let mut files = vec![
            ("model.safetensors", self.parameters.tensors(&self.network, specs)),
            ("ema.safetensors", self.ema.tensors(specs)),
            ("optimizer.safetensors", self.optimizer.tensors()),
        ];
        let mut lecam = [0.0; 2];
        if let Some(adversary) = &self.adversary {
            let specs = &adversary.specs;
            files.push(("discriminator.safetensors", adversary.parameters.tensors(&adversary.discriminator, specs)));
            files.push(("discriminator-optimizer.safetensors", adversary.optimizer.tensors()));
            lecam = [adversary.lecam.ema_real, adversary.lecam.ema_fake];
        }
        let state = State {
            step: self.step,
            code_counts: self.codes.counts().to_vec(),
            lecam,
            seconds: self.seconds,
            config: self.essence.clone(),
        };
        let path = self.checkpoints.write(&state, &files)?;
        self.report()?;
        Ok(path)
    }

    fn restore(&mut self, folder: &Path, state: State) -> Result<(), TrainError> {
        let open = |name: &str| Weights::open(&folder.join(name));
        let specs = self.objective.specs().to_vec();
        self.network = self.parameters.load(self.network.clone(), &open("model.safetensors")?)?;
        self.ema.restore(&open("ema.safetensors")?, &specs, state.step, self.device)?;
        self.optimizer.restore(&open("optimizer.safetensors")?, self.device)?;
        if let Some(adversary) = &mut self.adversary {
            let weights = open("discriminator.safetensors")?;
            adversary.discriminator = adversary.parameters.load(adversary.discriminator.clone(), &weights)?;
            adversary.optimizer.restore(&open("discriminator-optimizer.safetensors")?, self.device)?;
            [adversary.lecam.ema_real, adversary.lecam.ema_fake] = state.lecam;
        }
        self.codes = CodeCounts::from_counts(state.code_counts);
        (self.step, self.seconds) = (state.step, state.seconds);
        Ok(())
    }

    fn report(&self) -> Result<(), TrainError> {
        let title = format!("tessera training, {} of {} steps", self.step, self.config.run.steps);
        write_report(self.out, &title, &self.settings, self.metrics.lines(), self.sheet.as_deref())
    }

    /// Writes the model as it stands, with averaged weights, and the report.
    fn finish(&self) -> Result<(), TrainError> {
        let text = serde_json::to_string_pretty(&self.objective.config())
            .map_err(|error| TrainError::Report(error.to_string()))?;
        let precision = match self.config.run.precision {
            SavePrecision::F32 => Precision::F32,
            SavePrecision::F16 => Precision::F16,
        };
        let tensors = self.ema.tensors(self.objective.specs());
        write_safetensors(&self.out.join("model.safetensors"), &tensors, precision, Default::default())?;
        write(&self.out.join("config.json"), text.as_bytes())?;
        self.report()
    }
}

fn to_tensor(batch: Batch, device: &Device) -> Tensor<4> {
    let side = usize::try_from(batch.image_size).unwrap_or(usize::MAX);
    Tensor::from_data(TensorData::new(batch.images, [batch.batch_size, 3, side, side]), device)
}
