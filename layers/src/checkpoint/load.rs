//! Loading that accepts exactly the model's tensors.

use burn::tensor::Device;

use super::{CheckpointError, ContentHash, Renames, TensorEntry, Weights, compare};
use crate::params::{ParamSource, ParamSpec, Params, entries};

/// Makes a model of a checkpoint: `make` is run once to list what it needs, the list is compared with the file, and
/// then `make` is run again with the values. Tensors named in `ignored` may be there.
///
/// Returns the model, its parameters, and a hash of their names, shapes and values.
///
/// # Errors
/// [`CheckpointError::Mismatch`] if a tensor is missing, surplus or misshapen; any error of reading.
pub fn load_strict<M, E>(
    weights: &Weights,
    ignored: &[&str],
    device: &Device,
    make: impl Fn(&Params) -> Result<M, E>,
) -> Result<(M, Vec<ParamSpec>, ContentHash), E>
where
    E: From<CheckpointError>,
{
    load_strict_renamed(weights, ignored, |_| None, device, make)
}

/// [`load_strict`] for a model that was released under several names: `current` says the model's name for a tensor that
/// the file may call otherwise, and `None` for all others. It sees whole names, so that a function that looks at their
/// ends works below any prefix. The parameters and their hash have the model's names, whatever the file calls them.
///
/// # Errors
/// As [`load_strict`].
pub fn load_strict_renamed<M, E>(
    weights: &Weights,
    ignored: &[&str],
    current: impl Fn(&str) -> Option<String>,
    device: &Device,
    make: impl Fn(&Params) -> Result<M, E>,
) -> Result<(M, Vec<ParamSpec>, ContentHash), E>
where
    E: From<CheckpointError>,
{
    let listing = ParamSource::listing();
    make(&listing.root())?;
    let expected = entries(&listing.into_taken());
    let found: Vec<TensorEntry> =
        weights.entries().into_iter().filter(|entry| !ignored.contains(&entry.name.as_str())).collect();
    let renames = Renames::new(found, current);
    compare(weights.path(), &expected, renames.entries(), None)?;
    let source = ParamSource::renamed_weights(weights, &renames, device);
    let model = make(&source.root())?;
    let hash = source.content_hash();
    Ok((model, source.into_taken(), hash))
}
