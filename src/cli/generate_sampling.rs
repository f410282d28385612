//! How `tessera generate` draws: the flags of sampling.

use anyhow::{Result, ensure};
use clap::Args;
use tessera::generators::xar::Solver;
use tessera::generators::{GenerateOptions, GuidanceSchedule};

use super::common::Common;

/// How ids and latents are drawn; what is absent the model says.
#[derive(Args)]
#[command(next_help_heading = "Sampling")]
pub struct SamplingArguments {
    /// Scale of classifier-free guidance; 1 asks for none.
    #[arg(long, value_name = "SCALE")]
    guidance: Option<f32>,
    /// How the scale moves while a sequence grows: constant, linear or half-linear.
    #[arg(long, value_name = "SCHEDULE", value_parser = parse_schedule)]
    guidance_schedule: Option<GuidanceSchedule>,
    /// Steps after which guidance is switched off.
    #[arg(long, value_name = "STEPS")]
    guidance_interval: Option<usize>,
    /// Logits are divided by this; 0 takes the most likely token.
    #[arg(long, value_name = "X")]
    temperature: Option<f32>,
    /// Draw from so many of the most likely tokens only.
    #[arg(long, value_name = "N")]
    top_k: Option<usize>,
    /// Draw from the most likely tokens that together have this share of the probability.
    #[arg(long, value_name = "SHARE")]
    top_p: Option<f32>,
    /// Steps: of a masked generator in all, of a flow in each entity.
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// How a flow is solved: sde (with noise at every step) or ode.
    #[arg(long, value_name = "SOLVER", value_parser = parse_solver)]
    solver: Option<Solver>,
    /// Tokens of each sample, where any prefix decodes.
    #[arg(long, value_name = "N")]
    tokens: Option<usize>,
}

impl SamplingArguments {
    /// What a generator is told.
    pub fn options(&self, common: &Common) -> Result<GenerateOptions> {
        let mut options = GenerateOptions::default();
        options.seed = common.seed.unwrap_or(0);
        options.steps = self.steps;
        options.solver = self.solver;
        options.guidance_scale = self.guidance;
        options.guidance_schedule = self.guidance_schedule;
        options.guidance_interval = self.guidance_interval;
        options.sampling.temperature = self.temperature;
        options.sampling.top_k = self.top_k;
        options.sampling.top_p = self.top_p;
        options.keep = self.tokens;
        options.sampling.check()?;
        let finite = self.guidance.is_none_or(|scale| scale.is_finite() && scale >= 0.0);
        ensure!(finite, "--guidance: expected a number from 0 on, found {}", self.guidance.unwrap_or(0.0));
        ensure!(self.steps != Some(0), "--steps: expected a number from 1 on, found 0");
        Ok(options)
    }
}

fn parse_schedule(text: &str) -> Result<GuidanceSchedule, String> {
    match text {
        "constant" => Ok(GuidanceSchedule::Constant),
        "linear" => Ok(GuidanceSchedule::Linear),
        "half-linear" => Ok(GuidanceSchedule::HalfLinear),
        _ => Err(format!("expected constant, linear or half-linear, found \"{text}\"")),
    }
}

fn parse_solver(text: &str) -> Result<Solver, String> {
    match text {
        "sde" => Ok(Solver::Sde),
        "ode" => Ok(Solver::Ode),
        _ => Err(format!("expected sde or ode, found \"{text}\"")),
    }
}
