//! Checkpoints, the finished model and the report.

use std::path::{Path, PathBuf};

use tessera_layers::checkpoint::{Precision, Weights, write_safetensors};
use tessera_tokenizers::quantizers::CodeCounts;

use super::Trainer;
use crate::train::checkpoint::{State, write};
use crate::train::report::write_report;
use crate::train::training::Training;
use crate::train::{SavePrecision, TrainError};

impl<T: Training> Trainer<'_, T> {
    pub(super) fn save(&self) -> Result<PathBuf, TrainError> {
        let specs = self.training.specs();
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

    pub(super) fn restore(&mut self, folder: &Path, state: State) -> Result<(), TrainError> {
        let open = |name: &str| Weights::open(&folder.join(name));
        let specs = self.training.specs().to_vec();
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
    pub(super) fn finish(&self) -> Result<(), TrainError> {
        let network = self.ema.plain(&self.network, &self.parameters);
        let config = self.training.config(&network);
        let text = serde_json::to_string_pretty(&config).map_err(|error| TrainError::Report(error.to_string()))?;
        let precision = match self.config.run.precision {
            SavePrecision::F32 => Precision::F32,
            SavePrecision::F16 => Precision::F16,
        };
        let specs = self.training.specs().iter().filter(|spec| self.training.is_released(&spec.name)).cloned();
        let tensors = self.ema.tensors(&specs.collect::<Vec<_>>());
        write_safetensors(&self.out.join("model.safetensors"), &tensors, precision, self.training.metadata())?;
        write(&self.out.join("config.json"), text.as_bytes())?;
        self.report()
    }
}
