//! The words that a small model's captions are made of.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tessera_tokenizers::ConfigError;

use crate::GeneratorError;

/// Most words of a table.
const MOST: usize = 1 << 20;

/// A table of words, each with the id that is its place. Cheap to clone.
///
/// A tag is a word with its kind before it, as `style=noto`. Words are lower case and hold no spaces.
///
/// Beside the words may stand what a model has learnt to draw: the names of each class, from which
/// [`Words::draw_captions`](crate::Words::draw_captions) draws. In a configuration a table is a list of words, or
/// `{"words": [...], "subjects": {"group=animals": ["cat face", ...]}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Words(Arc<Table>);

#[derive(Debug, PartialEq, Eq)]
struct Table {
    words: Vec<String>,
    ids: HashMap<String, u32>,
    subjects: BTreeMap<String, Vec<String>>,
}

/// A table as a configuration holds it.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Words(Vec<String>),
    WithSubjects { words: Vec<String>, subjects: BTreeMap<String, Vec<String>> },
}

impl TryFrom<Written> for Words {
    type Error = ConfigError;

    fn try_from(written: Written) -> Result<Self, ConfigError> {
        match written {
            Written::Words(words) => Self::try_from(words),
            Written::WithSubjects { words, subjects } => Self::try_from(words)?.with_subjects(subjects),
        }
    }
}

impl From<Words> for Written {
    fn from(words: Words) -> Self {
        let Table { words, subjects, .. } = &*words.0;
        match subjects.is_empty() {
            true => Written::Words(words.clone()),
            false => Written::WithSubjects { words: words.clone(), subjects: subjects.clone() },
        }
    }
}

impl TryFrom<Vec<String>> for Words {
    type Error = ConfigError;

    fn try_from(words: Vec<String>) -> Result<Self, ConfigError> {
        let wrong = |found: String| {
            let expected = format!("1 to {MOST} different words in lower case without spaces");
            Err(ConfigError::invalid("words", expected, found))
        };
        if words.is_empty() || words.len() > MOST {
            return wrong(format!("{} words", words.len()));
        }
        let mut ids = HashMap::with_capacity(words.len());
        for (id, word) in words.iter().enumerate() {
            if word.is_empty() || word.contains(char::is_whitespace) || *word != word.to_lowercase() {
                return wrong(format!("\"{word}\""));
            }
            if ids.insert(word.clone(), u32::try_from(id).unwrap_or(u32::MAX)).is_some() {
                return wrong(format!("\"{word}\" twice"));
            }
        }
        Ok(Self(Arc::new(Table { words, ids, subjects: BTreeMap::new() })))
    }
}

impl Words {
    /// The table with the names of each class, by its tag.
    ///
    /// # Errors
    /// [`ConfigError`] if a tag or a word of a name is not in the table, or a tag has no names.
    pub fn with_subjects(self, subjects: BTreeMap<String, Vec<String>>) -> Result<Self, ConfigError> {
        let wrong = |expected: &str, found: &str| {
            let expected = format!("{expected} of the table of words");
            Err(ConfigError::invalid("subjects", expected, format!("\"{found}\"")))
        };
        for (tag, names) in &subjects {
            if self.id(tag).is_none() || names.is_empty() {
                return wrong("tags with names, in words", tag);
            }
            for name in names {
                let mut words = Self::split(name).peekable();
                if words.peek().is_none() || words.any(|word| self.id(&word).is_none()) {
                    return wrong("names in words", name);
                }
            }
        }
        let Table { words, ids, .. } = &*self.0;
        Ok(Self(Arc::new(Table { words: words.clone(), ids: ids.clone(), subjects })))
    }

    /// The names that the model has learnt of each class, by its tag; empty where that is not known.
    pub fn subjects(&self) -> &BTreeMap<String, Vec<String>> {
        &self.0.subjects
    }

    /// The words in the order of their ids.
    pub fn all(&self) -> &[String] {
        &self.0.words
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.words.len()
    }

    /// Whether there is none; never so.
    pub fn is_empty(&self) -> bool {
        self.0.words.is_empty()
    }

    /// The id of a word.
    pub fn id(&self, word: &str) -> Option<u32> {
        self.0.ids.get(word).copied()
    }

    /// The words of a text: lower case, cut at everything but letters, digits and what stands inside tags.
    pub fn split(text: &str) -> impl Iterator<Item = String> {
        text.split(|letter: char| !(letter.is_alphanumeric() || matches!(letter, '=' | '-' | '_' | '&')))
            .map(|word| word.trim_matches(['-', '_', '&', '=']).to_lowercase())
            .filter(|word| !word.is_empty())
    }

    /// The ids of a caption of at most `most` words.
    ///
    /// # Errors
    /// [`GeneratorError`] if there is no word, there are too many, or the table lacks one.
    pub fn ids(&self, caption: &str, most: usize) -> Result<Vec<u32>, GeneratorError> {
        let words: Vec<String> = Self::split(caption).collect();
        if words.is_empty() || words.len() > most {
            return Err(GeneratorError::CaptionLength { words: words.len(), most });
        }
        let known = words.into_iter().map(|word| match self.id(&word) {
            Some(id) => Ok(id),
            None => Err(GeneratorError::UnknownWord { closest: self.closest(&word), word }),
        });
        known.collect()
    }

    /// The word that differs in the fewest letters, if it is a third of them at most.
    fn closest(&self, word: &str) -> Option<String> {
        let candidates = self.0.words.iter().map(|known| (distance(word, known), known));
        let (edits, known) = candidates.min()?;
        (3 * edits <= word.chars().count()).then(|| known.clone())
    }
}

/// Letters to insert, delete or replace to make one word of another (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (line, letter) in a.chars().enumerate() {
        let mut diagonal = line;
        let mut left = line + 1;
        for (other, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = *cell;
            *cell = replaced.min(left + 1).min(*cell + 1);
            left = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = line + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> Words {
        Words::try_from(["red", "heart", "style=noto", "face"].map(str::to_owned).to_vec()).unwrap()
    }

    #[test]
    fn captions_become_ids() {
        assert_eq!(words().ids("Red heart, style=noto", 4).unwrap(), [0, 1, 2]);
        assert!(matches!(words().ids(" , ", 4), Err(GeneratorError::CaptionLength { words: 0, most: 4 })));
        assert!(matches!(words().ids("red red red", 2), Err(GeneratorError::CaptionLength { words: 3, most: 2 })));
        let unknown = words().ids("hearts", 2).unwrap_err();
        assert_eq!(unknown.to_string(), "the model does not know the word \"hearts\", but \"heart\"");
        let unknown = words().ids("zebra", 2).unwrap_err();
        assert_eq!(unknown.to_string(), "the model does not know the word \"zebra\"");
    }

    #[test]
    fn tables_hold_different_lower_case_words() {
        for wrong in [vec![], vec!["a", "a"], vec!["A"], vec!["a b"], vec![""]] {
            assert!(Words::try_from(wrong.into_iter().map(str::to_owned).collect::<Vec<_>>()).is_err());
        }
    }

    #[test]
    fn distances_count_edits() {
        for (a, b, expected) in [("", "abc", 3), ("heart", "hearts", 1), ("kitten", "sitting", 3), ("a", "a", 0)] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
            assert_eq!(distance(b, a), expected, "{b} {a}");
        }
    }

    #[test]
    fn a_configuration_holds_words_with_or_without_subjects() {
        let read = |document: serde_json::Value| serde_json::from_value::<Words>(document);
        let plain = serde_json::json!(["face", "red", "style=noto"]);
        assert_eq!(serde_json::to_value(read(plain.clone()).unwrap()).unwrap(), plain);
        let named =
            serde_json::json!({"words": ["face", "group=a", "red"], "subjects": {"group=a": ["face", "red face"]}});
        assert_eq!(serde_json::to_value(read(named.clone()).unwrap()).unwrap(), named);
        for (subjects, found) in [
            (serde_json::json!({"group=b": ["face"]}), "group=b"),
            (serde_json::json!({"group=a": []}), "group=a"),
            (serde_json::json!({"group=a": ["face", "green face"]}), "green face"),
            (serde_json::json!({"group=a": [" "]}), " "),
        ] {
            let error = read(serde_json::json!({"words": ["face", "group=a"], "subjects": subjects})).unwrap_err();
            assert!(error.to_string().contains(&format!("\"{found}\"")), "{error}");
        }
    }
}
