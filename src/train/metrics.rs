//! What a run reports: one JSON object a line in `metrics.jsonl`.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::TrainError;
use super::checkpoint::{io, write};

/// A line of the log: means over the steps since the line before.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TrainLine {
    /// Steps done.
    pub step: u64,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Every term by name, before its weight, and `total`.
    pub losses: BTreeMap<String, f64>,
    /// Norm of the whole gradient before clipping.
    pub gradient_norm: f64,
    /// Share of codes used since the line before, 0..=1.
    pub usage: f64,
    /// Effective number of codes.
    pub perplexity: f64,
    /// Codes not used since dead codes were last looked for.
    pub dead_codes: usize,
    /// Pictures a second.
    pub images_per_second: f64,
    /// Share of the time spent waiting for pictures, 0..=1.
    pub wait_share: f64,
    /// Pictures that could not be read so far in this process.
    pub skipped: usize,
    /// The most memory that this process has held, in bytes.
    pub peak_memory: Option<u64>,
    /// Seconds of training so far, over all runs.
    pub seconds: f64,
}

/// A validation of the averaged weights. What a network does not have is empty or 0.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ValidationLine {
    /// Steps done.
    pub step: u64,
    /// Mean PSNR in dB by number of tokens.
    pub psnr: Vec<(usize, f64)>,
    /// Mean IoU of shapes, 0..=1, by number of tokens.
    pub iou: Vec<(usize, f64)>,
    /// Share of codes used, 0..=1.
    pub usage: f64,
    /// Effective number of codes: of the codebook, or of those that a generator of tokens takes for as likely.
    pub perplexity: f64,
    /// A generator's mean loss: cross-entropy of a token in nats, or squared error of a flow's velocity. Of a tower that learns from a
    /// teacher the negative cosine.
    pub loss: Option<f64>,
    /// The same by position, or by entity, in the order of generation.
    pub loss_by_position: Vec<f64>,
}

/// One line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Line {
    /// From training.
    Train(TrainLine),
    /// From a validation.
    Validation(ValidationLine),
}

impl Line {
    fn step(&self) -> u64 {
        match self {
            Self::Train(line) => line.step,
            Self::Validation(line) => line.step,
        }
    }
}

/// The metrics of a run, in memory and in its file.
pub struct Metrics {
    path: PathBuf,
    lines: Vec<Line>,
}

impl Metrics {
    /// The metrics of the run in `out` up to `step`; what an interrupted run reported beyond its last checkpoint is
    /// dropped, since it will be reported again.
    ///
    /// # Errors
    /// [`TrainError::Io`] if the file cannot be read or written.
    pub fn open(out: &Path, step: u64) -> Result<Self, TrainError> {
        let path = out.join("metrics.jsonl");
        let text = match fs::read_to_string(&path) {
            Ok(text) if step > 0 => text,
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(&path, error)),
            _ => String::new(),
        };
        // A line that was being written when the run was killed is no JSON, and comes again.
        let lines: Vec<Line> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let lines: Vec<Line> = lines.into_iter().filter(|line: &Line| line.step() <= step).collect();
        let mut kept = Vec::new();
        for line in &lines {
            kept.extend(encode(line)?);
        }
        write(&path, &kept)?;
        Ok(Self { path, lines })
    }

    /// Adds a line.
    ///
    /// # Errors
    /// [`TrainError::Io`] if the file cannot be written.
    pub fn push(&mut self, line: Line) -> Result<(), TrainError> {
        let mut file =
            fs::OpenOptions::new().append(true).create(true).open(&self.path).map_err(|e| io(&self.path, e))?;
        file.write_all(&encode(&line)?).map_err(|error| io(&self.path, error))?;
        self.lines.push(line);
        Ok(())
    }

    /// All lines so far.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }
}

fn encode(line: &Line) -> Result<Vec<u8>, TrainError> {
    let mut text = serde_json::to_vec(line).map_err(|error| TrainError::Report(error.to_string()))?;
    text.push(b'\n');
    Ok(text)
}
