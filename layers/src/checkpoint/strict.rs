//! Comparing the tensors of a file with those a model needs.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use super::{CheckpointError, TensorEntry};

/// How the tensors of a file differ from those of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differences {
    /// Tensors that the model needs.
    pub needed: usize,
    /// Tensors that the file lacks.
    pub missing: usize,
    /// The first of them by name.
    pub first_missing: Option<String>,
    /// Tensors that the model does not know.
    pub surplus: usize,
    /// The first of them by name.
    pub first_surplus: Option<String>,
    /// Tensors of another shape.
    pub misshapen: usize,
    /// The first of them by name.
    pub first_misshapen: Option<Misshapen>,
}

/// A tensor of another shape than the model's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misshapen {
    /// Released name.
    pub name: String,
    /// What the model needs.
    pub expected: Vec<usize>,
    /// What the file holds.
    pub found: Vec<usize>,
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut problems = Vec::new();
        if let Some(first) = &self.first_missing {
            problems
                .push(format!("lacks {} of the model's {} tensors (first: \"{first}\")", self.missing, self.needed));
        }
        if let Some(first) = &self.first_surplus {
            let tensors = count(self.surplus);
            problems.push(format!("holds {tensors} that the model does not know (first: \"{first}\")"));
        }
        if let Some(Misshapen { name, expected, found }) = &self.first_misshapen {
            let tensors = count(self.misshapen);
            problems.push(format!(
                "has {tensors} of another shape (first: \"{name}\" is {found:?} where the model needs {expected:?})"
            ));
        }
        write!(f, "the checkpoint {}", problems.join("; it "))
    }
}

fn count(tensors: usize) -> String {
    if tensors == 1 { "1 tensor".to_owned() } else { format!("{tensors} tensors") }
}

/// What differs; `None` if names and shapes agree. The order of either list does not matter.
pub fn differences(expected: &[TensorEntry], found: &[TensorEntry]) -> Option<Differences> {
    let by_name = |entries: &'_ [TensorEntry]| -> BTreeMap<String, Vec<usize>> {
        entries.iter().map(|entry| (entry.name.clone(), entry.shape.clone())).collect()
    };
    let (expected, found) = (by_name(expected), by_name(found));
    let missing: Vec<_> = expected.keys().filter(|name| !found.contains_key(*name)).collect();
    let surplus: Vec<_> = found.keys().filter(|name| !expected.contains_key(*name)).collect();
    let misshapen: Vec<_> = expected
        .iter()
        .filter_map(|(name, shape)| found.get(name).filter(|other| *other != shape).map(|other| (name, shape, other)))
        .collect();
    let same = missing.is_empty() && surplus.is_empty() && misshapen.is_empty();
    (!same).then(|| Differences {
        needed: expected.len(),
        missing: missing.len(),
        first_missing: missing.first().map(|name| (*name).clone()),
        surplus: surplus.len(),
        first_surplus: surplus.first().map(|name| (*name).clone()),
        misshapen: misshapen.len(),
        first_misshapen: misshapen.first().map(|(name, expected, found)| Misshapen {
            name: (*name).clone(),
            expected: (*expected).clone(),
            found: (*found).clone(),
        }),
    })
}

/// Compares the tensors a model needs with those of a file; `looks_like` names a known model whose tensors these are.
///
/// # Errors
/// [`CheckpointError::Mismatch`], which counts each kind of difference and names the first.
pub fn compare(
    path: &Path,
    expected: &[TensorEntry],
    found: &[TensorEntry],
    looks_like: Option<String>,
) -> Result<(), CheckpointError> {
    match differences(expected, found) {
        None => Ok(()),
        Some(differences) => {
            Err(CheckpointError::Mismatch { path: path.to_owned(), differences: Box::new(differences), looks_like })
        }
    }
}

/// Refuses NaN and infinity in tensor `name` of the file at `path`.
///
/// # Errors
/// [`CheckpointError::NotFinite`] with the first such element.
pub fn check_finite(path: &Path, name: &str, values: &[f32]) -> Result<(), CheckpointError> {
    // A sum of squares would overflow; the exponent's bits alone tell, and this form vectorises.
    if values.iter().fold(true, |finite, value| finite & value.is_finite()) {
        return Ok(());
    }
    let first = values.iter().enumerate().find(|(_, value)| !value.is_finite());
    first.map_or(Ok(()), |(index, &value)| {
        Err(CheckpointError::NotFinite { path: path.to_owned(), tensor: name.to_owned(), index, value })
    })
}
