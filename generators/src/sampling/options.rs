//! How ids are drawn from logits.

use serde::{Deserialize, Serialize};

use crate::GeneratorError;

/// How an id is drawn from logits; what is absent the model's configuration says, and where that is silent the distribution is
/// taken as it is (temperature 1, all ids).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Sampling {
    /// Logits are divided by this; 0 takes the most likely id.
    pub temperature: Option<f32>,
    /// Only the most likely ids, so many, can be drawn; those as likely as the last of them too.
    pub top_k: Option<usize>,
    /// Of the most likely ids, only those can be drawn before which less than this share of the probability lies.
    pub top_p: Option<f32>,
}

impl Sampling {
    /// The most likely id, always.
    pub const GREEDY: Self = Self { temperature: Some(0.0), top_k: None, top_p: None };

    /// These options, with those of `usual` where they are silent.
    pub fn or(self, usual: Self) -> Self {
        Self {
            temperature: self.temperature.or(usual.temperature),
            top_k: self.top_k.or(usual.top_k),
            top_p: self.top_p.or(usual.top_p),
        }
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// [`GeneratorError::InvalidOption`] for a temperature below 0, no id at all to draw from, or a share that is none.
    pub fn check(self) -> Result<(), GeneratorError> {
        let wrong = |option, expected: &str, found: String| {
            Err(GeneratorError::InvalidOption { option, expected: expected.to_owned(), found })
        };
        match self {
            Self { temperature: Some(value), .. } if !(value >= 0.0 && value.is_finite()) => {
                wrong("temperature", "a number from 0 on", value.to_string())
            }
            Self { top_k: Some(0), .. } => {
                wrong("top-k", "a number from 1 on; leave it out to draw from all ids", "0".to_owned())
            }
            Self { top_p: Some(value), .. } if !(value > 0.0 && value <= 1.0) => {
                wrong("top-p", "a share above 0 and up to 1", value.to_string())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_checked() {
        let with = |temperature, top_k, top_p| Sampling { temperature, top_k, top_p }.check().is_ok();
        assert!(with(None, None, None) && with(Some(0.0), Some(1), Some(1.0)));
        assert!(
            !with(Some(-0.1), None, None)
                && !with(Some(f32::NAN), None, None)
                && !with(Some(f32::INFINITY), None, None)
        );
        assert!(!with(None, Some(0), None));
        assert!(!with(None, None, Some(0.0)) && !with(None, None, Some(1.1)) && !with(None, None, Some(f32::NAN)));
    }
}
