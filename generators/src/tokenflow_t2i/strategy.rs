//! How often a scale is sampled, and how.

use serde::{Deserialize, Serialize};

use crate::{GeneratorError, Sampling};

/// One entry for each sampling step of a scale; the first scale has the first alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Strategy {
    /// Most likely codes that are drawn from; 0 for all.
    pub topk_list: Vec<usize>,
    /// Share of the probability that is drawn from; 0 for all.
    pub topp_list: Vec<f64>,
}

impl Strategy {
    /// The released strategy of 1, 2 or 3 steps; `None` for other numbers.
    pub fn released(steps: usize) -> Option<Self> {
        let (topk_list, topp_list) = match steps {
            1 => (vec![600], vec![0.6]),
            2 => (vec![1200, 1], vec![0.8, 0.0]),
            3 => (vec![1200, 100, 1], vec![0.8, 0.8, 0.0]),
            _ => return None,
        };
        Some(Self { topk_list, topp_list })
    }

    /// What each step draws with.
    ///
    /// # Errors
    /// [`GeneratorError::InvalidOption`] if there is no step, the lists differ in length, or a share is none.
    pub fn steps(&self) -> Result<Vec<Sampling>, GeneratorError> {
        let wrong = |expected: &str, found: String| {
            Err(GeneratorError::InvalidOption { option: "strategy", expected: expected.to_owned(), found })
        };
        if self.topk_list.is_empty() || self.topk_list.len() != self.topp_list.len() {
            let found = format!("{} and {}", self.topk_list.len(), self.topp_list.len());
            return wrong("as many entries in topk_list as in topp_list, at least one", found);
        }
        if let Some(share) = self.topp_list.iter().find(|share| !(0.0..=1.0).contains(*share)) {
            return wrong("shares from 0 to 1 in topp_list", share.to_string());
        }
        let step = |(&top_k, &top_p): (&usize, &f64)| match top_k {
            // Nothing but the most likely code can be drawn.
            1 => Sampling::GREEDY,
            _ => Sampling {
                temperature: None,
                top_k: (top_k > 0).then_some(top_k),
                top_p: (top_p > 0.0).then_some(top_p as f32),
            },
        };
        Ok(self.topk_list.iter().zip(&self.topp_list).map(step).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn released_strategies_end_with_the_most_likely_code() {
        let steps = |count| Strategy::released(count).unwrap().steps().unwrap();
        assert_eq!(steps(1), [Sampling { temperature: None, top_k: Some(600), top_p: Some(0.6) }]);
        for count in [2, 3] {
            assert_eq!((steps(count).len(), steps(count).last()), (count, Some(&Sampling::GREEDY)));
        }
        assert!(Strategy::released(4).is_none());
    }

    #[test]
    fn lists_must_fit() {
        let steps = |topk_list: &[usize], topp_list: &[f64]| {
            Strategy { topk_list: topk_list.to_vec(), topp_list: topp_list.to_vec() }.steps()
        };
        assert!(steps(&[], &[]).is_err() && steps(&[1], &[]).is_err() && steps(&[3], &[1.5]).is_err());
        let all = Sampling { temperature: None, top_k: None, top_p: None };
        assert_eq!(steps(&[0], &[0.0]).unwrap(), [all]);
    }
}
