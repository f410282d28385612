//! Reading the nested sections of a FlexTok configuration, with the dotted key in every error.

use serde_json::Value;

use crate::ConfigError;

/// A dictionary of the configuration and where it stands.
#[derive(Clone)]
pub(super) struct Section<'a> {
    value: &'a Value,
    path: String,
}

impl<'a> Section<'a> {
    pub fn root(value: &'a Value) -> Self {
        Self { value, path: String::new() }
    }

    fn key(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    fn wrong(&self, name: &str, expected: &str) -> ConfigError {
        let found = self.value.get(name).map_or_else(|| "nothing".to_owned(), shortened);
        ConfigError::invalid(&self.key(name), expected, found)
    }

    /// The value of a key that is there and not null.
    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.value.get(name).filter(|value| !value.is_null())
    }

    /// A section below this one.
    pub fn at(&self, name: &str) -> Result<Section<'a>, ConfigError> {
        let value = self.value.get(name).filter(|value| value.is_object());
        let value = value.ok_or_else(|| self.wrong(name, "a section"))?;
        Ok(Section { value, path: self.key(name) })
    }

    /// Names of the keys, sorted.
    pub fn keys(&self) -> Vec<&'a str> {
        let mut keys: Vec<&str> =
            self.value.as_object().into_iter().flat_map(|map| map.keys()).map(String::as_str).collect();
        keys.sort_unstable();
        keys
    }

    /// A whole number from 1 to `most`.
    pub fn count(&self, name: &str, most: usize) -> Result<usize, ConfigError> {
        let count = self.get(name).and_then(Value::as_u64).and_then(|count| usize::try_from(count).ok());
        count
            .filter(|count| (1..=most).contains(count))
            .ok_or_else(|| self.wrong(name, &format!("a whole number from 1 to {most}")))
    }

    /// [`Section::count`], or `default` where the key is absent.
    pub fn count_or(&self, name: &str, most: usize, default: usize) -> Result<usize, ConfigError> {
        if self.get(name).is_none() { Ok(default) } else { self.count(name, most) }
    }

    /// A list of whole numbers from 1 to `most`.
    pub fn counts(&self, name: &str, most: usize) -> Result<Vec<usize>, ConfigError> {
        let items = self.get(name).and_then(Value::as_array);
        let counts = items.and_then(|items| {
            let count = |item: &Value| item.as_u64().and_then(|count| usize::try_from(count).ok());
            items.iter().map(|item| count(item).filter(|count| (1..=most).contains(count))).collect()
        });
        counts.ok_or_else(|| self.wrong(name, &format!("a list of whole numbers from 1 to {most}")))
    }

    /// Two whole numbers from 1 to `most`.
    pub fn pair(&self, name: &str, most: usize) -> Result<[usize; 2], ConfigError> {
        let counts = self.counts(name, most)?;
        <[usize; 2]>::try_from(counts).map_err(|_| self.wrong(name, &format!("two whole numbers from 1 to {most}")))
    }

    /// A finite number, `None` where the key is absent or null.
    pub fn number(&self, name: &str) -> Result<Option<f64>, ConfigError> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => match value.as_f64().filter(|number| number.is_finite()) {
                Some(number) => Ok(Some(number)),
                None => Err(self.wrong(name, "a number")),
            },
        }
    }

    /// A truth value, or `default` where the key is absent or null.
    pub fn truth(&self, name: &str, default: bool) -> Result<bool, ConfigError> {
        match self.get(name) {
            None => Ok(default),
            Some(value) => value.as_bool().ok_or_else(|| self.wrong(name, "true or false")),
        }
    }

    /// A text, `None` where the key is absent or null.
    pub fn text(&self, name: &str) -> Result<Option<&'a str>, ConfigError> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or_else(|| self.wrong(name, "a text")),
        }
    }

    /// Checks that a key, where it is there, has the one value that is built.
    pub fn only(&self, name: &str, built: &Value) -> Result<(), ConfigError> {
        match self.get(name) {
            Some(value) if value != built => Err(ConfigError::Unsupported(format!(
                "config key \"{}\" is {}, and tessera builds {} alone, which every release has",
                self.key(name),
                shortened(value),
                shortened(built),
            ))),
            _ => Ok(()),
        }
    }

    /// Checks the class of a section.
    pub fn target(&self, class: &str) -> Result<(), ConfigError> {
        match self.get("_target_") {
            Some(value) if value.as_str() == Some(class) => Ok(()),
            _ => Err(self.wrong("_target_", &format!("\"{class}\""))),
        }
    }

    /// Checks that two settings that must agree do.
    pub fn agree(&self, name: &str, found: usize, expected: usize, with: &str) -> Result<(), ConfigError> {
        if found == expected {
            return Ok(());
        }
        Err(ConfigError::invalid(&self.key(name), format!("{expected}, as {with} has"), found.to_string()))
    }
}

fn shortened(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 80 { text } else { text.chars().take(77).chain("...".chars()).collect() }
}
