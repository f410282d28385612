//! Files whose tensors have older names.

use std::collections::BTreeMap;

use super::TensorEntry;

/// The tensors of a file under the names that the model has for them.
///
/// A model has one name for each tensor. Where releases differ, its module offers a function from a file's name to that
/// one name; the function is applied before names are compared, so that such a file is held to the same list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Renames {
    /// The model's name to the file's.
    stored: BTreeMap<String, String>,
    entries: Vec<TensorEntry>,
}

impl Renames {
    /// Renames each of `entries` for which `current` has another name. A tensor keeps its own name where the file holds
    /// one of the new name too, so that the surplus shows.
    pub fn new(mut entries: Vec<TensorEntry>, current: impl Fn(&str) -> Option<String>) -> Self {
        let mut taken: std::collections::BTreeSet<String> = entries.iter().map(|entry| entry.name.clone()).collect();
        let mut stored = BTreeMap::new();
        for entry in &mut entries {
            if let Some(name) = current(&entry.name)
                && taken.insert(name.clone())
            {
                stored.insert(name.clone(), std::mem::replace(&mut entry.name, name));
            }
        }
        Self { stored, entries }
    }

    /// Names and shapes as the model has them.
    pub fn entries(&self) -> &[TensorEntry] {
        &self.entries
    }

    /// The file's name of the tensor that the model calls `name`.
    pub fn stored<'a>(&'a self, name: &'a str) -> &'a str {
        self.stored.get(name).map_or(name, String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(names: &[&str]) -> Vec<TensorEntry> {
        names.iter().map(|name| TensorEntry { name: (*name).to_owned(), shape: vec![1] }).collect()
    }

    fn names(renames: &Renames) -> Vec<&str> {
        renames.entries().iter().map(|entry| entry.name.as_str()).collect()
    }

    #[test]
    fn old_names_become_the_models_and_lead_back_to_the_file() {
        let current = |name: &str| name.strip_prefix("old.").map(|rest| format!("new.{rest}"));
        let renames = Renames::new(entries(&["old.a", "new.b"]), current);
        assert_eq!(names(&renames), ["new.a", "new.b"]);
        assert_eq!((renames.stored("new.a"), renames.stored("new.b")), ("old.a", "new.b"));
    }

    #[test]
    fn a_tensor_that_is_there_under_both_names_stays_surplus() {
        let renames = Renames::new(entries(&["old", "new"]), |name| (name == "old").then(|| "new".to_owned()));
        assert_eq!(names(&renames), ["old", "new"]);
        assert_eq!(renames.stored("new"), "new");
    }
}
