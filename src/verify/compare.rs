//! Comparing what was produced with what was expected.

use serde::Serialize;
use tessera_layers::checkpoint::Weights;

use super::{Case, CaseError, Value, Values};

/// What became of one expected tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Within tolerance.
    Passed,
    /// Another shape, another integer, or a float beyond tolerance.
    Failed,
    /// Nothing was produced under this name.
    NotCovered,
}

/// One expected tensor.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// Its expected shape.
    pub shape: Vec<usize>,
    /// What became of it.
    pub outcome: Outcome,
    /// Largest absolute difference; for integers, how many differ.
    pub error: Option<f64>,
    /// Largest difference as a multiple of what is allowed at that element; at most 1 passes.
    pub of_tolerance: Option<f64>,
    /// Whether the case asks for this tensor.
    pub required: bool,
    /// What is wrong, where something is.
    pub problem: Option<String>,
}

/// Every expected tensor of a case, and whether all is well.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The case's name.
    pub case: String,
    /// Its system.
    pub system: String,
    /// Its kind.
    pub kind: String,
    /// Absolute tolerance.
    pub atol: f64,
    /// Relative tolerance.
    pub rtol: f64,
    /// One line for each expected tensor, sorted by name.
    pub tensors: Vec<Line>,
    /// Required patterns that no expected tensor has.
    pub unmatched: Vec<String>,
    /// Nothing failed and everything required was covered.
    pub passed: bool,
}

pub(super) fn compare(case: &Case, values: &Values) -> Result<Report, CaseError> {
    let mut tensors = Vec::new();
    for expected in &case.expected {
        for entry in expected.entries() {
            let required = case.required.iter().any(|pattern| matches(pattern, &entry.name));
            let mut line = Line {
                outcome: Outcome::NotCovered,
                error: None,
                of_tolerance: None,
                required,
                problem: None,
                shape: entry.shape,
                name: entry.name,
            };
            if let Some(value) = values.get(&line.name) {
                let name = line.name.clone();
                let is_checked = |element| values.is_checked(&name, element);
                judge(&mut line, expected, value, (case.atol, case.rtol), &is_checked)?;
            }
            tensors.push(line);
        }
    }
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    let unmatched: Vec<String> = case
        .required
        .iter()
        .filter(|pattern| !tensors.iter().any(|line| matches(pattern, &line.name)))
        .cloned()
        .collect();
    let passed = unmatched.is_empty()
        && tensors.iter().all(|line| match line.outcome {
            Outcome::Passed => true,
            Outcome::Failed => false,
            Outcome::NotCovered => !line.required,
        });
    Ok(Report {
        case: case.name.clone(),
        system: case.system.clone(),
        kind: case.kind.clone(),
        atol: case.atol,
        rtol: case.rtol,
        tensors,
        unmatched,
        passed,
    })
}

/// Whether an element, by its index, is compared.
type IsChecked<'a> = &'a dyn Fn(usize) -> bool;

fn judge(
    line: &mut Line,
    expected: &Weights,
    value: &Value,
    tolerance: (f64, f64),
    is_checked: IsChecked<'_>,
) -> Result<(), CaseError> {
    line.outcome = Outcome::Failed;
    let shape = match value {
        Value::Floats(shape, _) | Value::Integers(shape, _) => shape,
    };
    if *shape != line.shape {
        line.problem = Some(format!("its shape is {shape:?}"));
        return Ok(());
    }
    match (value, expected.is_integer(&line.name)) {
        (Value::Integers(_, found), true) => {
            let expected = expected.read_i64(&line.name)?;
            let differs = |index: usize, a: &i64, b: &i64| a != b && is_checked(index);
            let pairs = || expected.iter().zip(found).enumerate();
            let wrong = pairs().filter(|(index, (a, b))| differs(*index, a, b)).count();
            line.error = Some(wrong as f64);
            if wrong == 0 {
                line.outcome = Outcome::Passed;
            } else {
                let first = pairs().position(|(index, (a, b))| differs(index, a, b));
                line.problem = Some(format!("{wrong} of {} integers differ, the first at {first:?}", found.len()));
            }
        }
        (Value::Floats(_, found), false) => {
            judge_floats(line, &expected.read_f32(&line.name)?, found, tolerance, is_checked);
        }
        (Value::Integers(..), false) => line.problem = Some("it holds integers".to_owned()),
        (Value::Floats(..), true) => line.problem = Some("it holds floats".to_owned()),
    }
    Ok(())
}

fn judge_floats(line: &mut Line, expected: &[f32], found: &[f32], (atol, rtol): (f64, f64), is_checked: IsChecked<'_>) {
    let (mut error, mut share) = (0.0_f64, 0.0_f64);
    for (index, (&expected, &found)) in expected.iter().zip(found).enumerate() {
        if !is_checked(index) {
            continue;
        }
        let (expected, found) = (f64::from(expected), f64::from(found));
        if !found.is_finite() {
            line.problem = Some(format!("it holds {found} at element {index}"));
            return;
        }
        let difference = (expected - found).abs();
        let allowed = (atol + rtol * expected.abs()).max(f64::MIN_POSITIVE);
        (error, share) = (error.max(difference), share.max(difference / allowed));
    }
    (line.error, line.of_tolerance) = (Some(error), Some(share));
    if share <= 1.0 {
        line.outcome = Outcome::Passed;
    } else {
        line.problem = Some(format!("the largest difference is {share:.1} times what is allowed"));
    }
}

/// Whether `name` fits `pattern`, in which `*` stands for any text.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    let mut rest = rest;
    for part in middle {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stand_for_any_text() {
        assert!(matches("k*.reconstruction", "k13.reconstruction") && matches("*", "x") && matches("a*b*c", "a1b2c"));
        assert!(!matches("k*.reconstruction", "k1.logits") && !matches("tokens", "tokens2") && !matches("a*b", "ba"));
    }

    #[test]
    fn floats_are_judged_by_both_tolerances_and_nan_fails() {
        let judged = |found: f32| {
            let mut line = Line {
                name: String::new(),
                shape: vec![1],
                outcome: Outcome::Failed,
                error: None,
                of_tolerance: None,
                required: true,
                problem: None,
            };
            judge_floats(&mut line, &[10.0, 0.0], &[found, f32::NAN], (0.1, 0.01), &|element| element == 0);
            line.outcome
        };
        assert_eq!(judged(10.19), Outcome::Passed);
        assert_eq!((judged(10.21), judged(f32::NAN)), (Outcome::Failed, Outcome::Failed));
    }
}
