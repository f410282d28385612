//! Finding a model's files.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::CheckpointError;
use super::hub::{HubId, cache_folder, is_offline, model_folder, snapshot};
use super::parts::{beside, main_file};
use super::shards::shard_paths;
use crate::atomic_file::folder_of;

/// The files of one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointFiles {
    /// `config.json` or a YAML file, if there is one.
    pub config: Option<PathBuf>,
    /// What [`super::Weights::open`] takes: one file, or the index of several.
    pub weights: PathBuf,
    /// What that file is.
    pub kind: WeightsKind,
}

impl CheckpointFiles {
    /// Every file that holds tensors: the weights themselves and those of the same release beside them, or all files that
    /// the index names, sorted.
    ///
    /// # Errors
    /// [`CheckpointError`] if the index cannot be read.
    pub fn weight_files(&self) -> Result<Vec<PathBuf>, CheckpointError> {
        match self.kind {
            WeightsKind::Sharded => shard_paths(&self.weights),
            WeightsKind::Safetensors | WeightsKind::Torch => {
                let mut files = vec![self.weights.clone()];
                files.extend(beside(&self.weights).into_iter().map(|(path, _)| path));
                Ok(files)
            }
        }
    }
}

/// What a weight file is, judged by its name as [`super::Weights::open`] judges it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WeightsKind {
    /// One safetensors file.
    Safetensors,
    /// An index of several safetensors files.
    Sharded,
    /// A PyTorch state dict.
    Torch,
}

/// Where to look for hub ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocateOptions {
    /// The hub's cache; `None` where no such folder is known.
    pub cache: Option<PathBuf>,
    /// Whether the user forbade the network. No socket is opened either way; messages differ.
    pub offline: bool,
}

impl LocateOptions {
    /// What the environment says: `HF_HUB_CACHE`, `HF_HOME` and `HF_HUB_OFFLINE`, as the hub's own tools read them.
    pub fn from_environment() -> Self {
        let variable = |name: &str| std::env::var_os(name);
        Self { cache: cache_folder(variable), offline: is_offline(variable) }
    }
}

const HOLDS: &str = "one weight file (model.safetensors, its index, pytorch_model.bin, or a single \
                     .safetensors, .bin, .pt, .pth or .ckpt) and at most one config (config.json or a .yaml)";

/// [`locate_with`] the options [`LocateOptions::from_environment`] gives.
///
/// # Errors
/// [`CheckpointError`] saying what was looked for, and where.
pub fn locate(spec: &str) -> Result<CheckpointFiles, CheckpointError> {
    locate_with(spec, &LocateOptions::from_environment())
}

/// Finds the files of `spec`: a folder, a weight file (its config is looked for beside it), or a hub id
/// `owner/name[@revision]` in the hub's cache. A path that exists wins over a hub id.
///
/// # Errors
/// [`CheckpointError`] saying what was looked for, and where.
pub fn locate_with(spec: &str, options: &LocateOptions) -> Result<CheckpointFiles, CheckpointError> {
    let path = Path::new(spec);
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return from_hub(spec, options);
        }
        Err(source) => {
            return Err(CheckpointError::Io { path: path.to_owned(), source });
        }
    };
    if metadata.is_dir() {
        return from_folder(path);
    }
    let folder = folder_of(path);
    // A folder that cannot be listed only means that no config is found beside the file.
    let names = list(folder).unwrap_or_default();
    let wrong = |found: String| CheckpointError::Folder { folder: folder.to_owned(), expected: HOLDS, found };
    Ok(files(folder, pick_config(&names).map_err(wrong)?, path.to_owned()))
}

fn from_hub(spec: &str, options: &LocateOptions) -> Result<CheckpointFiles, CheckpointError> {
    let id = HubId::parse(spec);
    if let (Some(cache), Some(id)) = (&options.cache, &id)
        && let Some(folder) = snapshot(cache, id)
    {
        return from_folder(&folder);
    }
    let searched = match (&options.cache, &id) {
        (_, None) => "not searched: a hub id is owner/name".to_owned(),
        (None, _) => "no cache folder is known: set HF_HOME".to_owned(),
        (Some(cache), Some(id)) if model_folder(cache, id).is_dir() => {
            format!("searched {}, which has the model but not its revision {}", cache.display(), id.revision)
        }
        (Some(cache), Some(_)) => format!("searched {}", cache.display()),
    };
    let offline = if options.offline { "; HF_HUB_OFFLINE is set, so unset it for that" } else { "" };
    let advice = match &id {
        Some(HubId { owner, name, revision }) => format!(
            "tessera itself opens no connection: run `hf download {owner}/{name} --revision {revision}`, or give a \
             folder or file that exists{offline}"
        ),
        None => "give a folder or file that exists".to_owned(),
    };
    Err(CheckpointError::NotFound { spec: spec.to_owned(), searched, advice })
}

fn from_folder(folder: &Path) -> Result<CheckpointFiles, CheckpointError> {
    let names = list(folder).map_err(|source| CheckpointError::Io { path: folder.to_owned(), source })?;
    let wrong = |found: String| CheckpointError::Folder { folder: folder.to_owned(), expected: HOLDS, found };
    let weights = pick_weights(&names).map_err(wrong)?;
    let config = pick_config(&names).map_err(wrong)?;
    Ok(files(folder, config, folder.join(weights)))
}

fn files(folder: &Path, config: Option<String>, weights: PathBuf) -> CheckpointFiles {
    let name = weights.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let kind = if name.ends_with(".index.json") {
        WeightsKind::Sharded
    } else if name.ends_with(".safetensors") {
        WeightsKind::Safetensors
    } else {
        WeightsKind::Torch
    };
    CheckpointFiles { config: config.map(|name| folder.join(name)), weights, kind }
}

/// File names of a folder, sorted. Names that are no UTF-8 cannot be a model's and are passed over.
fn list(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.path().is_dir() {
            names.extend(entry.file_name().into_string().ok());
        }
    }
    names.sort();
    Ok(names)
}

fn pick_weights(names: &[String]) -> Result<String, String> {
    let well_known = [
        "model.safetensors",
        "model.safetensors.index.json",
        "pytorch_model.bin",
        "diffusion_pytorch_model.safetensors",
    ];
    if let Some(name) = well_known.into_iter().find(|name| names.iter().any(|other| other == name)) {
        return Ok(name.to_owned());
    }
    let paths: Vec<PathBuf> = names.iter().map(PathBuf::from).collect();
    if let Some(name) = main_file(&paths).and_then(|path| path.into_os_string().into_string().ok()) {
        return Ok(name);
    }
    let endings = [".safetensors", ".bin", ".pt", ".pth", ".ckpt"];
    let candidates: Vec<&String> =
        names.iter().filter(|name| endings.iter().any(|ending| name.ends_with(ending))).collect();
    match candidates.as_slice() {
        [only] => Ok((*only).clone()),
        [] if names.is_empty() => Err("an empty folder; fetch the model into it".to_owned()),
        [] => Err(format!("no weight file among its {} files", names.len())),
        several => Err(format!("several: {several:?}; name one of them")),
    }
}

fn pick_config(names: &[String]) -> Result<Option<String>, String> {
    if names.iter().any(|name| name == "config.json") {
        return Ok(Some("config.json".to_owned()));
    }
    let candidates: Vec<&String> =
        names.iter().filter(|name| name.ends_with(".yaml") || name.ends_with(".yml")).collect();
    match candidates.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some((*only).clone())),
        several => Err(format!("several configs: {several:?}; keep one, or name it config.json")),
    }
}
