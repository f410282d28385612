//! Reading a case's folder.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use tessera_layers::checkpoint::{CheckpointError, CheckpointFiles, Weights, locate, main_file, read_config};
use tessera_tokenizers::{ConfigError, LoadError, TokenizerError};

/// Why a case could not be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaseError {
    /// A file of the case cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Its model cannot be made.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Its model refused an input.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// Its generator refused.
    #[error(transparent)]
    Generator(#[from] tessera_generators::GeneratorError),
    /// A shape was refused.
    #[error(transparent)]
    Shape(#[from] tessera_datasets::shape::ShapeError),
    /// `case.json` does not describe a case.
    #[error("{}: expected the description of a conformance case, but {found}", path.display())]
    Description {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        found: String,
    },
    /// A system that this version does not run.
    #[error("system \"{0}\" is not built; this version runs {list}", list = super::SYSTEMS.join(", "))]
    UnknownSystem(String),
    /// A kind of case that this version does not run.
    #[error("cases of kind \"{kind}\" of system \"{system}\" are not built; known are {known}")]
    UnknownKind {
        /// The system.
        system: String,
        /// The kind.
        kind: String,
        /// Kinds that are built.
        known: &'static str,
    },
    /// Inputs and configuration do not fit together.
    #[error("{what}: expected {expected}, found {found}")]
    Input {
        /// What does not fit.
        what: String,
        /// What would fit.
        expected: String,
        /// What is there.
        found: String,
    },
}

impl From<ConfigError> for CaseError {
    fn from(error: ConfigError) -> Self {
        Self::Load(error.into())
    }
}

impl CaseError {
    pub(super) fn input(what: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::Input { what: what.into(), expected: expected.into(), found: found.into() }
    }
}

/// A case, its weights not yet read.
pub struct Case {
    /// Name: the folder's.
    pub name: String,
    /// The folder itself.
    pub folder: PathBuf,
    /// System, such as `one-d-piece`.
    pub system: String,
    /// What sort of case.
    pub kind: String,
    /// Absolute tolerance of floats.
    pub atol: f64,
    /// Relative tolerance of floats.
    pub rtol: f64,
    /// Expected tensors that must be covered; `*` stands for any text.
    pub required: Vec<String>,
    /// The configuration document; null where there is none.
    pub config: Value,
    /// Inputs and every random draw.
    pub inputs: Weights,
    /// Outputs of the official implementation.
    pub expected: Vec<Weights>,
    files: Option<CheckpointFiles>,
}

#[derive(Deserialize)]
struct Description {
    system: String,
    kind: String,
    atol: f64,
    rtol: f64,
    #[serde(default)]
    required: Vec<String>,
}

impl Case {
    /// Opens the case in `folder`.
    ///
    /// # Errors
    /// [`CaseError`] if a file is missing or cannot be read.
    pub fn open(folder: &Path) -> Result<Self, CaseError> {
        let path = folder.join("case.json");
        let description: Description = serde_json::from_value(read_config(&path)?)
            .map_err(|error| CaseError::Description { path: path.clone(), found: error.to_string() })?;
        if !(description.atol >= 0.0 && description.rtol >= 0.0) {
            let found = format!("its tolerances are {} and {}", description.atol, description.rtol);
            return Err(CaseError::Description { path, found });
        }
        let files = weight_file(folder)?.map(|path| locate(&path.to_string_lossy())).transpose()?;
        let config = files.as_ref().and_then(|files| files.config.clone()).or_else(|| {
            let plain = folder.join("config.json");
            plain.is_file().then_some(plain)
        });
        let mut expected = vec![Weights::open(&folder.join("expected.safetensors"))?];
        let gradients = folder.join("expected_grads.safetensors");
        if gradients.is_file() {
            expected.push(Weights::open(&gradients)?);
        }
        Ok(Self {
            name: folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy().into_owned(),
            folder: folder.to_owned(),
            system: description.system,
            kind: description.kind,
            atol: description.atol,
            rtol: description.rtol,
            required: description.required,
            config: config.map_or(Ok(Value::Null), |path| read_config(&path))?,
            inputs: Weights::open(&folder.join("inputs.safetensors"))?,
            expected,
            files,
        })
    }

    /// The weights of the case's model.
    ///
    /// # Errors
    /// [`CaseError`] if there are none or they cannot be read.
    pub fn weights(&self) -> Result<Weights, CaseError> {
        let files = self.files.as_ref().ok_or_else(|| {
            CaseError::input("weights of the case", "model.safetensors or pytorch_model.bin", "neither")
        })?;
        Ok(Weights::open(&files.weights)?)
    }

    /// Names of all expected tensors.
    pub fn expected_names(&self) -> Vec<String> {
        self.expected.iter().flat_map(Weights::entries).map(|entry| entry.name).collect()
    }

    /// Shape and values of a float input.
    ///
    /// # Errors
    /// [`CaseError`] if it is missing or holds no floats of rank `D`.
    pub fn floats<const D: usize>(&self, name: &str) -> Result<([usize; D], Vec<f32>), CaseError> {
        let shape = self.shape(name)?;
        Ok((shape, self.inputs.read_f32(name)?))
    }

    /// Shape and values of an integer input.
    ///
    /// # Errors
    /// [`CaseError`] if it is missing or holds no integers of rank `D`.
    pub fn integers<const D: usize>(&self, name: &str) -> Result<([usize; D], Vec<i64>), CaseError> {
        let shape = self.shape(name)?;
        Ok((shape, self.inputs.read_i64(name)?))
    }

    /// Whether there is an input of this name.
    pub fn has_input(&self, name: &str) -> bool {
        self.inputs.element_type(name).is_some()
    }

    fn shape<const D: usize>(&self, name: &str) -> Result<[usize; D], CaseError> {
        let entry = self.inputs.entries().into_iter().find(|entry| entry.name == name);
        let shape = entry.map(|entry| entry.shape).ok_or_else(|| {
            CaseError::input("inputs of the case", format!("a tensor \"{name}\""), "none of that name")
        })?;
        let rank = format!("{D} dimensions");
        <[usize; D]>::try_from(shape)
            .map_err(|shape| CaseError::input(format!("input \"{name}\""), rank, format!("{shape:?}")))
    }
}

/// The file of the model's weights: the one that holds tensors and neither inputs nor expected outputs. Where there are
/// several, the folder must be a model's.
fn weight_file(folder: &Path) -> Result<Option<PathBuf>, CaseError> {
    let io = |source| CheckpointError::Io { path: folder.to_owned(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let holds_tensors = [".safetensors", ".safetensors.index.json", ".bin", ".pt", ".pth", ".ckpt"]
            .iter()
            .any(|ending| name.ends_with(ending));
        if holds_tensors && !name.starts_with("inputs") && !name.starts_with("expected") {
            found.push(path);
        }
    }
    // The index of a sharded checkpoint stands for its shards, the main file of a release for the others.
    found.sort();
    found.sort_by_key(|path| !path.to_string_lossy().ends_with(".index.json"));
    match found.as_slice() {
        [] => Ok(None),
        [first, ..] if found.len() == 1 || first.to_string_lossy().ends_with(".index.json") => Ok(Some(first.clone())),
        several => match main_file(several) {
            Some(path) => Ok(Some(path)),
            None => Err(CaseError::input("weights of the case", "one file", format!("{found:?}"))),
        },
    }
}
