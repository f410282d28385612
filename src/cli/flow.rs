//! How flow decoders sample, on the command line.

use anyhow::{Result, bail, ensure};
use clap::Args;
use tessera::shaders::Projection;
use tessera::tokenizers::flextok::Guidance;
use tessera::tokenizers::{FlowOptions, TokenizerInfo};

use super::common::Common;

/// Options of models that decode by sampling a flow (FlexTok); what is absent the model says. The common option --seed draws
/// the noise.
#[derive(Args)]
#[command(next_help_heading = "Sampling (flow decoders)")]
pub struct FlowArguments {
    /// Euler steps.
    #[arg(long, value_name = "N")]
    pub steps: Option<usize>,
    /// Guidance scale, a number or a schedule over time such as 1+4t (t runs from 1, noise, to 0); 1 asks for none.
    #[arg(long, value_name = "SCALE", value_parser = parse_guidance)]
    pub guidance: Option<Guidance>,
    /// Adaptive projected guidance: on, off, or its eta, momentum and norm threshold as 0,-0.5,2.5.
    #[arg(long, value_name = "APG", value_parser = parse_projection)]
    pub apg: Option<ProjectionChoice>,
}

/// With a projection or without.
#[derive(Clone, Copy)]
pub struct ProjectionChoice(Option<Projection>);

impl FlowArguments {
    /// The options, for a model that has a use for them.
    pub fn options(&self, info: &TokenizerInfo, common: &Common) -> Result<FlowOptions> {
        let given =
            [("--steps", self.steps.is_some()), ("--guidance", self.guidance.is_some()), ("--apg", self.apg.is_some())];
        if let (false, Some((flag, _))) = (info.is_sampled, given.iter().find(|(_, given)| *given)) {
            bail!(
                "{flag}: {} decodes without sampling; leave it out, or name a FlexTok with --model",
                info.architecture
            );
        }
        ensure!(self.steps != Some(0), "--steps: expected a number from 1 on, found 0");
        let mut options = FlowOptions::default();
        options.steps = self.steps;
        options.guidance.clone_from(&self.guidance);
        options.projection = self.apg.map(|choice| choice.0);
        options.seed = common.seed.unwrap_or(0);
        Ok(options)
    }
}

/// `7.5`, `4t`, `1+4t` or `5-2t`.
fn parse_guidance(text: &str) -> Result<Guidance, String> {
    let wrong = || format!("expected a number such as 7.5 or a schedule such as 1+4t, found \"{text}\"");
    let number = |text: &str| text.parse::<f32>().ok().filter(|number| number.is_finite()).ok_or_else(wrong);
    let Some(linear) = text.strip_suffix('t') else { return Ok(Guidance::Constant(number(text)?)) };
    // The sign between the terms, not one at the start or in an exponent.
    let between = linear.char_indices().rev().find(|&(at, sign)| {
        matches!(sign, '+' | '-') && at > 0 && !linear.get(..at).is_some_and(|before| before.ends_with(['e', 'E']))
    });
    let (base, slope) = linear.split_at(between.map_or(0, |(at, _)| at));
    let base = if base.is_empty() { 0.0 } else { number(base)? };
    let slope = match slope {
        "" | "+" => 1.0,
        "-" => -1.0,
        slope => number(slope)?,
    };
    Ok(Guidance::Linear { base, slope })
}

fn parse_projection(text: &str) -> Result<ProjectionChoice, String> {
    let wrong = || format!("expected on, off or three numbers eta,momentum,threshold, found \"{text}\"");
    match text {
        "on" => Ok(ProjectionChoice(Some(Projection::default()))),
        "off" => Ok(ProjectionChoice(None)),
        numbers => {
            let numbers: Option<Vec<f32>> = numbers
                .split(',')
                .map(|number| number.trim().parse().ok().filter(|number: &f32| number.is_finite()))
                .collect();
            match numbers.as_deref() {
                Some(&[eta, momentum, norm_threshold]) if norm_threshold >= 0.0 => {
                    Ok(ProjectionChoice(Some(Projection { eta, momentum, norm_threshold })))
                }
                _ => Err(wrong()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guidance_is_a_number_or_a_line_over_time() {
        let line = |base, slope| Ok(Guidance::Linear { base, slope });
        for (text, expected) in [
            ("7.5", Ok(Guidance::Constant(7.5))),
            ("1+4t", line(1.0, 4.0)),
            ("5-2.5t", line(5.0, -2.5)),
            ("-1e-1-2t", line(-0.1, -2.0)),
            ("3t", line(0.0, 3.0)),
            ("2+t", line(2.0, 1.0)),
        ] {
            assert_eq!(parse_guidance(text), expected, "{text}");
        }
        for text in ["", "x", "inf", "1+4x", "nan", "1++t"] {
            assert!(parse_guidance(text).is_err(), "{text}");
        }
    }

    #[test]
    fn apg_is_a_word_or_three_numbers() {
        assert!(parse_projection("on").is_ok_and(|choice| choice.0 == Some(Projection::default())));
        assert!(parse_projection("off").is_ok_and(|choice| choice.0.is_none()));
        let given = Projection { eta: 0.5, momentum: 0.0, norm_threshold: 0.0 };
        assert!(parse_projection("0.5,0,0").is_ok_and(|choice| choice.0 == Some(given)));
        for text in ["", "yes", "1,2", "1,2,-3", "1,2,nan"] {
            assert!(parse_projection(text).is_err(), "{text}");
        }
    }
}
