//! `${a.b}`: values that a configuration takes from elsewhere in itself.

use serde_json::Value;

/// Values that lead on to others are followed this often.
const MOST_STEPS: usize = 16;
/// Bytes that may be copied in one document; a hostile one would multiply without end.
const MOST_COPIED: usize = 4 << 20;

/// Replaces every `${a.b}` that points at a plain value or a list of plain values.
///
/// # Errors
/// A sentence, if the document would grow without measure.
pub(super) fn interpolate(document: &mut Value) -> Result<(), String> {
    let root = document.clone();
    let mut budget = MOST_COPIED;
    resolve(document, &root, &mut budget)
}

fn resolve(value: &mut Value, root: &Value, budget: &mut usize) -> Result<(), String> {
    match value {
        Value::Array(items) => items.iter_mut().try_for_each(|item| resolve(item, root, budget)),
        Value::Object(entries) => entries.values_mut().try_for_each(|entry| resolve(entry, root, budget)),
        Value::String(text) => {
            if let Some(target) = target(text, root) {
                let size = size(target);
                *budget = budget.checked_sub(size).ok_or("its ${...} references repeat more than 4 MiB of values")?;
                *value = target.clone();
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// What `${a.b}` points at in the end.
fn target<'a>(text: &str, root: &'a Value) -> Option<&'a Value> {
    let mut found = follow(text, root)?;
    for _ in 0..MOST_STEPS {
        match found {
            Value::String(next) if next.starts_with("${") => found = follow(next, root)?,
            Value::Object(_) => return None,
            Value::Array(items) if items.iter().any(|item| item.is_array() || item.is_object()) => {
                return None;
            }
            _ => return Some(found),
        }
    }
    None
}

fn follow<'a>(text: &str, root: &'a Value) -> Option<&'a Value> {
    let path = text.strip_prefix("${")?.strip_suffix('}')?;
    path.split('.').try_fold(root, |value, key| match value {
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        _ => value.get(key),
    })
}

fn size(value: &Value) -> usize {
    let plain = std::mem::size_of::<Value>();
    match value {
        Value::String(text) => plain + text.len(),
        Value::Array(items) => plain + items.iter().map(size).sum::<usize>(),
        _ => plain,
    }
}
