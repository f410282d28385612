//! `tessera train`

use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{ArgMatches, Args, Command, FromArgMatches, error::Error};
use indicatif::{HumanDuration, ProgressBar};
use serde_json::json;
use tessera::train::{Event, Line, TrainConfig, ValidationLine, train};

use super::common::Common;
use super::output::Done;

/// Trains a tokenizer or a generator, or goes on with a training that was stopped.
///
/// Settings come from the file, then from flags; --print-config shows all of them with their values.
#[derive(Args)]
#[command(after_help = "Example: tessera train models/one-d-piece-tiny-64/train.toml --out run\n\
                        After an interruption: the same with --resume.")]
pub struct Arguments {
    /// File of settings (TOML). Without one, defaults and flags hold.
    #[arg(value_name = "CONFIG")]
    config: Option<PathBuf>,
    /// Folder of the run: checkpoints, metrics, samples, report, and at the end the model.
    #[arg(long, short, value_name = "FOLDER", required_unless_present = "print_config")]
    out: Option<PathBuf>,
    /// Go on from the last checkpoint in the folder.
    #[arg(long)]
    resume: bool,
    /// Print all settings as a file and end.
    #[arg(long)]
    print_config: bool,
    #[command(flatten)]
    overrides: Overrides,
}

/// The fields of [`TrainConfig`] as flags that change what a file says.
struct Overrides(ArgMatches);

impl FromArgMatches for Overrides {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        Ok(Self(matches.clone()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0 = matches.clone();
        Ok(())
    }
}

impl Args for Overrides {
    fn augment_args(command: Command) -> Command {
        TrainConfig::augment_args_for_update(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        TrainConfig::augment_args_for_update(command)
    }
}

pub fn run(arguments: &Arguments, common: &Common) -> Result<Done> {
    let mut config = match &arguments.config {
        Some(path) => TrainConfig::read(path)?,
        None => TrainConfig::default(),
    };
    config.update_from_arg_matches(&arguments.overrides.0)?;
    if let Some(seed) = common.seed {
        config.run.seed = seed;
    }
    if arguments.print_config {
        let text = config.to_toml()?;
        return Ok(Done { json: serde_json::to_value(&config)?, quiet: text.clone(), text, passed: true });
    }
    let out = arguments.out.as_ref().context("give --out FOLDER")?;
    crate::keep_freed_memory();
    let device = common.open_device()?;
    let bar = common.progress(usize::try_from(config.run.steps).unwrap_or(usize::MAX), "training");
    let is_quiet = common.quiet || common.json;
    let say = |text: String| {
        if !is_quiet {
            bar.suspend(|| drop(writeln!(std::io::stderr(), "{text}")));
        }
    };
    let mut remaining = Duration::ZERO;
    let summary = train(&config, out, &device, arguments.resume, &mut |event| {
        if let Event::Step { remaining: rest, .. } = event {
            remaining = rest;
        }
        tell(&event, &bar, remaining, &say);
        ControlFlow::Continue(())
    })?;
    bar.finish_and_clear();
    let mut text = format!(
        "{} steps in {:.2} hours; model, metrics and report in {}\n",
        summary.step,
        summary.seconds / 3600.0,
        out.display()
    );
    if let Some(loss) = summary.validation.as_ref().and_then(|validation| validation.loss) {
        text += &format!("validation loss {loss:.4}\n");
    } else if let Some(validation) = &summary.validation {
        let psnr = validation.psnr.iter().map(|(tokens, psnr)| format!("{psnr:.2} at {tokens}"));
        let iou = validation.iou.iter().map(|(tokens, iou)| format!("{iou:.4} at {tokens}"));
        let measure = if validation.iou.is_empty() { "PSNR in dB" } else { "IoU" };
        text += &format!("validation {measure}: {} tokens", psnr.chain(iou).collect::<Vec<_>>().join(", "));
        if validation.usage > 0.0 {
            text += &format!("; {:.1} % of the codebook used", 100.0 * validation.usage);
        }
        text.push('\n');
    }
    for (key, reason) in &summary.skipped {
        text += &format!("skipped {key}: {reason}\n");
    }
    Ok(Done {
        json: json!({
            "steps": summary.step, "seconds": summary.seconds, "validation": summary.validation,
            "skipped": summary.skipped, "out": out,
        }),
        quiet: out.display().to_string(),
        text,
        passed: true,
    })
}

fn tell(event: &Event<'_>, bar: &ProgressBar, remaining: Duration, say: &impl Fn(String)) {
    match event {
        Event::Start { step, parameters, pictures } => {
            bar.set_position(*step);
            bar.reset_eta();
            let pictures: Vec<String> = pictures.iter().map(ToString::to_string).collect();
            let items = match pictures.is_empty() {
                true => "an endless set of shapes".to_owned(),
                false => format!("{} pictures or shapes", pictures.join(" + ")),
            };
            say(format!("{:.2} M parameters in training, {items}, from step {step}", *parameters as f64 / 1e6));
        }
        Event::Step { step, .. } => bar.set_position(*step),
        Event::Line(Line::Train(line)) => {
            let losses: Vec<String> = line.losses.iter().map(|(name, value)| format!("{name} {value:.5}")).collect();
            say(format!(
                "step {:>6}  {}  |g| {:.3}  lr {:.2e}{}  {:.1} images/s, {:.1} % waiting, {} left",
                line.step,
                losses.join("  "),
                line.gradient_norm,
                line.learning_rate,
                // Networks without codes use none.
                if line.usage > 0.0 {
                    let (percent, perplexity) = (100.0 * line.usage, line.perplexity);
                    format!("  codes {percent:.1} % (perplexity {perplexity:.0}, {} dead)", line.dead_codes)
                } else {
                    String::new()
                },
                line.images_per_second,
                100.0 * line.wait_share,
                HumanDuration(remaining)
            ));
        }
        Event::Encoded { done, of } => bar.set_message(if done < of { "encoding" } else { "training" }),
        Event::Line(Line::Validation(ValidationLine { step, loss: Some(loss), perplexity, .. })) => {
            let codes = if *perplexity > 0.0 { format!(" (perplexity {perplexity:.1})") } else { String::new() };
            say(format!("step {step:>6}  validation loss {loss:.4}{codes}"));
        }
        Event::Line(Line::Validation(line)) => {
            let psnr = line.psnr.iter().map(|(tokens, psnr)| format!("{tokens}: {psnr:.2}"));
            let iou = line.iou.iter().map(|(tokens, iou)| format!("{tokens}: {iou:.4}"));
            let measure = if line.iou.is_empty() { "PSNR" } else { "IoU" };
            let by_tokens: Vec<String> = psnr.chain(iou).collect();
            let codes = if line.usage > 0.0 { format!("  codes {:.1} %", 100.0 * line.usage) } else { String::new() };
            say(format!("step {:>6}  validation {measure}  {}{codes}", line.step, by_tokens.join("  ")));
        }
        Event::Checkpoint(path) => say(format!("checkpoint {}", path.display())),
    }
}
