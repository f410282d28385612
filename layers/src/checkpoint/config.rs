//! Configuration files: JSON, or the YAML of training scripts.

use std::io::Read as _;
use std::path::Path;

use serde_json::{Map, Number, Value};

use super::CheckpointError;
use super::interpolate::interpolate;
use super::shards::open_file;

/// Larger files are no configurations.
const MOST_BYTES: u64 = 4 << 20;

/// Reads a JSON or YAML configuration, by the file's ending.
///
/// # Errors
/// [`CheckpointError`] if the file cannot be read or parsed, or is longer than 4 MiB.
pub fn read_config(path: &Path) -> Result<Value, CheckpointError> {
    let malformed =
        |found| CheckpointError::Malformed { path: path.to_owned(), expected: "a JSON or YAML configuration", found };
    let mut bytes = Vec::new();
    let file = open_file(path)?;
    file.take(MOST_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| CheckpointError::Io { path: path.to_owned(), source })?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MOST_BYTES {
        return Err(malformed(format!("it is longer than {MOST_BYTES} bytes, the most that are read")));
    }
    let text = String::from_utf8(bytes).map_err(|_| malformed("it is no UTF-8 text".to_owned()))?;
    let yaml = path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
    parse_config(&text, yaml).map_err(malformed)
}

/// Parses a configuration.
///
/// `${a.b}` is replaced by the value it points at if that is plain or a list of plain values, and stays as it is
/// otherwise. In YAML, numbers written `1_281_167` become numbers, keys that are numbers become text, and `yes` and `on`
/// stay text.
///
/// # Errors
/// The parser's sentence, with line and column.
pub fn parse_config(text: &str, yaml: bool) -> Result<Value, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut document: Value = if yaml {
        from_yaml(serde_yaml_ng::from_str(text).map_err(|error| error.to_string())?)?
    } else {
        serde_json::from_str(text).map_err(|error| error.to_string())?
    };
    interpolate(&mut document)?;
    Ok(document)
}

/// YAML's values as JSON's. The parser bounds nesting.
fn from_yaml(value: serde_yaml_ng::Value) -> Result<Value, String> {
    use serde_yaml_ng::Value as Yaml;
    Ok(match value {
        Yaml::Null => Value::Null,
        Yaml::Bool(truth) => Value::Bool(truth),
        Yaml::Number(number) => {
            let whole = number.as_i64().map(Number::from).or_else(|| number.as_u64().map(Number::from));
            let number = whole.or_else(|| number.as_f64().and_then(Number::from_f64));
            Value::Number(number.ok_or("it holds a number that is infinite or NaN")?)
        }
        Yaml::String(text) => underscored(&text).map_or(Value::String(text), Value::Number),
        Yaml::Sequence(items) => Value::Array(items.into_iter().map(from_yaml).collect::<Result<_, _>>()?),
        Yaml::Mapping(entries) => {
            let mut object = Map::new();
            for (key, entry) in entries {
                object.insert(key_text(key)?, from_yaml(entry)?);
            }
            Value::Object(object)
        }
        Yaml::Tagged(tagged) => {
            return Err(format!("it holds a value of type {}, which is not read", tagged.tag));
        }
    })
}

fn key_text(key: serde_yaml_ng::Value) -> Result<String, String> {
    use serde_yaml_ng::Value as Yaml;
    match key {
        Yaml::String(text) => Ok(text),
        Yaml::Number(number) => Ok(number.to_string()),
        Yaml::Bool(truth) => Ok(truth.to_string()),
        Yaml::Null => Ok("null".to_owned()),
        _ => Err("it has a list or mapping as a key".to_owned()),
    }
}

/// A number with underscores between its digits.
fn underscored(text: &str) -> Option<Number> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let well_formed = digits.contains('_')
        && digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.ends_with(|c: char| c.is_ascii_digit())
        && digits.chars().all(|c| c.is_ascii_digit() || matches!(c, '_' | '.'));
    let plain = well_formed.then(|| text.replace('_', ""))?;
    plain.parse::<i64>().ok().map(Number::from).or_else(|| plain.parse().ok().and_then(Number::from_f64))
}
