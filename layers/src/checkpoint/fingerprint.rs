//! A hash of a checkpoint's content.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{CheckpointError, Weights};

/// BLAKE3 over names, shapes and f32 values of tensors, in whatever order they come and however they are stored.
#[derive(Debug, Clone, Default)]
pub struct ContentHash {
    tensors: BTreeMap<String, [u8; 32]>,
}

impl ContentHash {
    /// Adds a tensor of floats.
    pub fn add(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        self.add_bytes(name, b'f', shape, bytemuck::cast_slice(values));
    }

    /// Adds a tensor of integers.
    pub fn add_integers(&mut self, name: &str, shape: &[usize], values: &[i64]) {
        self.add_bytes(name, b'i', shape, bytemuck::cast_slice(values));
    }

    fn add_bytes(&mut self, name: &str, kind: u8, shape: &[usize], bytes: &[u8]) {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[kind]).update(&length(shape.len()));
        for &size in shape {
            hasher.update(&length(size));
        }
        hasher.update_rayon(bytes);
        self.tensors.insert(name.to_owned(), *hasher.finalize().as_bytes());
    }

    /// The hash of every tensor together with `config`.
    pub fn finish(&self, config: &str) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&length(config.len())).update(config.as_bytes());
        for (name, hash) in &self.tensors {
            hasher.update(&length(name.len())).update(name.as_bytes()).update(hash);
        }
        *hasher.finalize().as_bytes()
    }
}

/// The hash of every tensor of a checkpoint together with its configuration. Reads all of the file, one tensor at a time.
///
/// Neither the container nor the precision counts, only the values as f32 (integers as i64): a safetensors copy of a
/// PyTorch file has its fingerprint, and so has an f16 file and its f32 copy.
///
/// # Errors
/// [`CheckpointError`] if a tensor cannot be read or is not finite.
pub fn fingerprint(weights: &Weights, config: &Value) -> Result<[u8; 32], CheckpointError> {
    let mut hash = ContentHash::default();
    for entry in weights.entries() {
        if weights.is_integer(&entry.name) {
            hash.add_integers(&entry.name, &entry.shape, &weights.read_i64(&entry.name)?);
        } else {
            hash.add(&entry.name, &entry.shape, &weights.read_f32(&entry.name)?);
        }
    }
    Ok(hash.finish(&canonical_json(config)))
}

/// The shortest JSON text of a value, with sorted keys: the same for files that differ in layout and order only.
pub fn canonical_json(value: &Value) -> String {
    match value {
        Value::Object(entries) => {
            let sorted: BTreeMap<_, _> = entries.iter().collect();
            let entry =
                |(key, entry): (&String, &Value)| format!("{}:{}", Value::String(key.clone()), canonical_json(entry));
            format!("{{{}}}", sorted.into_iter().map(entry).collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical_json).collect::<Vec<_>>().join(",")),
        plain => plain.to_string(),
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn length(value: usize) -> [u8; 8] {
    u64::try_from(value).unwrap_or(u64::MAX).to_le_bytes()
}
