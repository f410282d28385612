//! Lazy readers of weight files.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Metadata, TensorInfo};

use super::header::read_header;
use super::parts::beside;
use super::shards::{Shard, open_shard, open_shards};
use super::torch::{StateDict, open_torch};
use super::{CheckpointError, ElementType, check_finite};

/// Name and shape of a tensor.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TensorEntry {
    /// Released name.
    pub name: String,
    /// Shape in the file.
    pub shape: Vec<usize>,
}

/// The tensors of a checkpoint; values are read when asked for.
pub struct Weights {
    path: PathBuf,
    source: Source,
}

enum Source {
    Safetensors(Vec<Shard>),
    Embedded {
        metadata: Metadata,
        start: usize,
        bytes: &'static [u8],
    },
    Torch(Box<StateDict>),
    /// The first that holds a tensor gives it.
    Joined(Vec<Part>),
}

/// A file whose tensors have names that begin with `prefix` in the whole.
struct Part {
    prefix: &'static str,
    weights: Weights,
}

impl Weights {
    /// Opens `.safetensors`, a sharded `.safetensors.index.json`, or a PyTorch state dict (`.bin`, `.pt`, `.pth`,
    /// `.ckpt`). Reads headers only.
    ///
    /// The main file of a release of several files (`seed_quantizer.pt` and `seed_tokenizer.pth` of SEED) is read with those
    /// that lie beside it: the ViT of `eva_vit_g.pth` as `visual_encoder.`, and of SEED-1 `causal_qformer.pth`, whose tensors
    /// give way to those of the main file.
    ///
    /// A state dict that lies under one of the keys `ema`, `model`, `module`, `state_dict` or `model_state_dict` is
    /// found there, the first of these that holds tensors; [`Weights::open_under`] chooses another.
    ///
    /// # Errors
    /// [`CheckpointError`] if the file is missing, unreadable, truncated, of another kind, or asks for code to run.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let main = Self::open_alone(path)?;
        let others = beside(path);
        if others.is_empty() {
            return Ok(main);
        }
        let mut parts = vec![Part { prefix: "", weights: main }];
        for (path, prefix) in others {
            parts.push(Part { prefix, weights: Self::open_alone(&path)? });
        }
        Ok(Self { path: path.to_owned(), source: Source::Joined(parts) })
    }

    /// [`Weights::open`] without the files of the same release that lie beside this one.
    fn open_alone(path: &Path) -> Result<Self, CheckpointError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let source = if name.ends_with(".index.json") {
            Source::Safetensors(open_shards(path)?)
        } else if name.ends_with(".safetensors") {
            Source::Safetensors(vec![open_shard(path)?])
        } else {
            Source::Torch(Box::new(open_torch(path, None)?))
        };
        Ok(Self { path: path.to_owned(), source })
    }

    /// Opens the PyTorch state dict that lies under `key` of the file's outermost dictionary.
    ///
    /// # Errors
    /// As [`Weights::open`]; also if there is no such key, or no tensor under it.
    pub fn open_under(path: &Path, key: &str) -> Result<Self, CheckpointError> {
        let source = Source::Torch(Box::new(open_torch(path, Some(key))?));
        Ok(Self { path: path.to_owned(), source })
    }

    /// A safetensors file that is part of the program; `name` stands for it in messages.
    ///
    /// # Errors
    /// [`CheckpointError::Malformed`] if the bytes are no safetensors file.
    pub fn embedded(name: &str, bytes: &'static [u8]) -> Result<Self, CheckpointError> {
        let path = PathBuf::from(name);
        let (start, metadata) = read_header(&path, bytes)?;
        Ok(Self { path, source: Source::Embedded { metadata, start, bytes } })
    }

    /// The file, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The key of a PyTorch file under which these tensors were found; `None` where they lie at the top.
    pub fn wrapper(&self) -> Option<&str> {
        match &self.source {
            Source::Torch(state) => state.wrapper.as_deref(),
            Source::Joined(parts) => parts.first().and_then(|part| part.weights.wrapper()),
            _ => None,
        }
    }

    /// Text that a safetensors file carries beside its tensors; `None` where there is none, or several files.
    pub fn texts(&self) -> Option<&HashMap<String, String>> {
        match &self.source {
            Source::Safetensors(shards) => match shards.as_slice() {
                [only] => only.metadata.metadata().as_ref(),
                _ => None,
            },
            Source::Embedded { metadata, .. } => metadata.metadata().as_ref(),
            Source::Torch(_) | Source::Joined(_) => None,
        }
    }

    /// Every tensor, sorted by name.
    pub fn entries(&self) -> Vec<TensorEntry> {
        let mut entries = BTreeMap::new();
        let mut add = |metadata: &Metadata| {
            for (name, info) in metadata.tensors() {
                entries.insert(name, info.shape.clone());
            }
        };
        match &self.source {
            Source::Safetensors(shards) => shards.iter().for_each(|shard| add(&shard.metadata)),
            Source::Embedded { metadata, .. } => add(metadata),
            Source::Torch(state) => {
                for (name, tensor) in state.reader.tensors() {
                    entries.insert(name.clone(), tensor.shape().to_vec());
                }
            }
            Source::Joined(parts) => {
                for part in parts.iter().rev() {
                    for entry in part.weights.entries() {
                        entries.insert(format!("{}{}", part.prefix, entry.name), entry.shape);
                    }
                }
            }
        }
        entries.into_iter().map(|(name, shape)| TensorEntry { name, shape }).collect()
    }

    /// Free-form metadata of a safetensors file.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        let metadata = match &self.source {
            Source::Safetensors(shards) => &shards.first()?.metadata,
            Source::Embedded { metadata, .. } => metadata,
            Source::Torch(_) | Source::Joined(_) => return None,
        };
        metadata.metadata().as_ref()?.get(key).map(String::as_str)
    }

    /// How the tensor is stored; `None` if there is none of that name, or of a type that is not read.
    pub fn element_type(&self, name: &str) -> Option<ElementType> {
        match &self.source {
            Source::Torch(state) => Some(ElementType::of_torch(state.reader.get(name)?.dtype())),
            Source::Joined(_) => self.part_of(name).and_then(|(part, name)| part.element_type(name)),
            _ => ElementType::of_safetensors(self.mapped(name)?.0.dtype),
        }
    }

    /// Whether the tensor holds integers.
    pub fn is_integer(&self, name: &str) -> bool {
        self.element_type(name).is_some_and(ElementType::is_integer)
    }

    /// The tensor's values as f32, row-major, all of them finite.
    ///
    /// # Errors
    /// [`CheckpointError`] if there is no such tensor, it holds no floats ([`Weights::read_i64`] reads integers), its
    /// bytes cannot be read or it holds NaN or infinity.
    pub fn read_f32(&self, name: &str) -> Result<Vec<f32>, CheckpointError> {
        if let Some((part, name)) = self.part_of(name) {
            return part.read_f32(name);
        }
        let (element, bytes) = self.read(name)?;
        let values = element
            .to_f32(&bytes)
            .ok_or_else(|| self.malformed("a tensor of floats", format!("\"{name}\" holds integers ({element:?})")))?;
        check_finite(&self.path, name, &values)?;
        drop(bytes);
        self.give_back(name);
        Ok(values)
    }

    /// An integer tensor's values; truth values are 0 and 1.
    ///
    /// # Errors
    /// [`CheckpointError`] if there is no such tensor, it holds no integers, or one of them is beyond i64.
    pub fn read_i64(&self, name: &str) -> Result<Vec<i64>, CheckpointError> {
        if let Some((part, name)) = self.part_of(name) {
            return part.read_i64(name);
        }
        let (element, bytes) = self.read(name)?;
        element.to_i64(&bytes).ok_or_else(|| {
            let found = if element.is_integer() { "a number beyond i64" } else { "floats" };
            self.malformed("a tensor of integers", format!("\"{name}\" holds {found} ({element:?})"))
        })
    }

    fn read(&self, name: &str) -> Result<(ElementType, Cow<'_, [u8]>), CheckpointError> {
        let missing = || self.malformed("a tensor of the model", format!("there is no tensor \"{name}\""));
        let bytes = match &self.source {
            Source::Torch(state) => {
                let tensor = state.reader.get(name).ok_or_else(missing)?;
                let unreadable = |error| self.malformed("a readable tensor", format!("{error}; fetch the file again"));
                Cow::Owned(tensor.read().map_err(unreadable)?)
            }
            _ => Cow::Borrowed(self.mapped(name).ok_or_else(missing)?.1),
        };
        let element = self.element_type(name).ok_or_else(|| {
            let stored = self.mapped(name).map_or_else(String::new, |(info, _)| format!("{:?}", info.dtype));
            self.malformed("a tensor of floats or integers of at least 8 bits", format!("\"{name}\" is {stored}"))
        })?;
        Ok((element, bytes))
    }

    /// The file of several that gives a tensor, and the tensor's name in it.
    fn part_of<'a>(&self, name: &'a str) -> Option<(&Weights, &'a str)> {
        let Source::Joined(parts) = &self.source else { return None };
        parts.iter().find_map(|part| {
            let inner = name.strip_prefix(part.prefix)?;
            part.weights.holds(inner).then_some((&part.weights, inner))
        })
    }

    fn holds(&self, name: &str) -> bool {
        match &self.source {
            Source::Torch(state) => state.reader.get(name).is_some(),
            Source::Joined(_) => self.part_of(name).is_some(),
            _ => self.mapped(name).is_some(),
        }
    }

    /// Header entry and bytes of a tensor that lies in a mapped or embedded file.
    fn mapped(&self, name: &str) -> Option<(&TensorInfo, &[u8])> {
        match &self.source {
            Source::Safetensors(shards) => {
                shards.iter().find_map(|shard| within(&shard.metadata, shard.start, &shard.map, name))
            }
            Source::Embedded { metadata, start, bytes } => within(metadata, *start, bytes, name),
            Source::Torch(_) | Source::Joined(_) => None,
        }
    }

    /// Lets the system take back the pages of a mapped tensor that was copied out: a model would otherwise be in memory twice
    /// while it loads.
    fn give_back(&self, name: &str) {
        #[cfg(unix)]
        if let Source::Safetensors(shards) = &self.source {
            for shard in shards {
                let Some(range) = place(&shard.metadata, shard.start, name) else { continue };
                // SAFETY: the map is of a file and read-only, so pages that were dropped come back from the file.
                let advised = unsafe {
                    shard.map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, range.start, range.len())
                };
                // It is advice: nothing is lost where the system does not take it.
                let _ = advised;
            }
        }
        #[cfg(not(unix))]
        let _ = name;
    }

    fn malformed(&self, expected: &'static str, found: String) -> CheckpointError {
        CheckpointError::Malformed { path: self.path.clone(), expected, found }
    }
}

fn within<'a>(metadata: &'a Metadata, start: usize, file: &'a [u8], name: &str) -> Option<(&'a TensorInfo, &'a [u8])> {
    Some((metadata.info(name)?, file.get(place(metadata, start, name)?)?))
}

/// Where in its file a tensor lies.
fn place(metadata: &Metadata, start: usize, name: &str) -> Option<Range<usize>> {
    let (from, to) = metadata.info(name)?.data_offsets;
    Some(start.checked_add(from)?..start.checked_add(to)?)
}
