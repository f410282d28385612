//! What happened since the last line of the log.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use burn::tensor::{Int, Tensor};
use tessera_tokenizers::quantizers::CodeCounts;

use super::feed::Feed;
use super::metrics::TrainLine;

/// Terms of a loss by name.
pub type Terms = Vec<(&'static str, Tensor<1>)>;

/// Sums since the last line of the log.
pub struct Window {
    started: Instant,
    waited: Duration,
    steps: u64,
    pictures: usize,
    terms: BTreeMap<&'static str, (f64, u64)>,
    norm: f64,
    codes: CodeCounts,
}

impl Window {
    /// Begins now, for a codebook of `codes` codes.
    pub fn new(feed: &impl Feed, codes: usize) -> Self {
        Self {
            started: Instant::now(),
            waited: feed.waited(),
            steps: 0,
            pictures: 0,
            terms: BTreeMap::new(),
            norm: 0.0,
            codes: CodeCounts::new(codes),
        }
    }

    /// Takes the terms of a pass in; returns the last of them, the total.
    pub fn add_pass(&mut self, terms: Terms, pictures: usize) -> f64 {
        self.pictures += pictures;
        let (names, values): (Vec<_>, Vec<_>) = terms.into_iter().map(|(name, value)| (name, value.detach())).unzip();
        let values: Vec<f64> = Tensor::cat(values, 0).into_data().iter().collect();
        for (name, value) in names.into_iter().zip(&values) {
            self.add_term(name, *value);
        }
        values.last().copied().unwrap_or(f64::NAN)
    }

    /// Takes one term in.
    pub fn add_term(&mut self, name: &'static str, value: f64) {
        let (sum, count) = self.terms.entry(name).or_default();
        *sum += value;
        *count += 1;
    }

    /// Takes the codes of a pass in.
    pub fn add_codes(&mut self, indices: &Tensor<2, Int>) {
        self.codes.add(indices);
    }

    /// Takes the end of a step in, with the norm of its gradient.
    pub fn add_step(&mut self, norm: f64) {
        self.steps += 1;
        self.norm += norm;
    }

    /// The means since the window began; what only the trainer knows is left at nothing.
    pub fn line(&self, feed: &impl Feed) -> TrainLine {
        let seconds = self.started.elapsed().as_secs_f64().max(1e-9);
        TrainLine {
            losses: self.terms.iter().map(|(name, (sum, count))| ((*name).to_owned(), sum / *count as f64)).collect(),
            gradient_norm: self.norm / self.steps.max(1) as f64,
            usage: self.codes.usage(),
            perplexity: self.codes.perplexity(),
            images_per_second: self.pictures as f64 / seconds,
            wait_share: (feed.waited() - self.waited).as_secs_f64() / seconds,
            peak_memory: crate::peak_memory(),
            ..TrainLine::default()
        }
    }
}
