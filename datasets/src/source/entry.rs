//! [`Entry`]: a sample before loading, and how table and split choose the entries of a source.

use std::collections::HashMap;
use std::path::Path;

use super::labels::Row;
use super::listing::Found;
use super::place::Place;
use super::settings::DataSource;
use super::split;
use crate::error::{DatasetError, Result};

/// One sample before loading.
pub(super) struct Entry {
    /// Its path inside the folder or tar.
    pub key: String,
    pub place: Place,
    pub label: Option<u32>,
    pub caption: Caption,
    pub may_flip: bool,
}

/// Where a caption comes from.
pub(super) enum Caption {
    None,
    Text(String),
    Member(Place),
}

impl Entry {
    /// An image without a table.
    pub(super) fn unlabelled(found: Found) -> Self {
        let caption = found.caption.map_or(Caption::None, Caption::Member);
        Self { key: found.key, place: found.place, label: found.label, caption, may_flip: true }
    }
}

/// The images that have a row, with what it says; every row needs its image.
pub(super) fn labelled(
    images: Vec<Found>,
    mut rows: HashMap<String, Row>,
    settings: &DataSource,
    labels: &Path,
) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for found in images {
        let Some(row) = rows.remove(&found.key) else { continue };
        let mut entry = Entry::unlabelled(found);
        entry.may_flip = row.may_flip;
        if settings.class_column.is_some() {
            entry.label = row.label;
        }
        if let Some(text) = row.caption {
            entry.caption = Caption::Text(text);
        }
        entries.push(entry);
    }
    match rows.keys().min() {
        None => Ok(entries),
        Some(first) => Err(DatasetError::LabelledFilesMissing {
            labels: labels.to_path_buf(),
            path: settings.path.clone(),
            missing: rows.len(),
            first: first.clone(),
        }),
    }
}

/// The entries that the hash puts into `split`; images of one webdataset sample stay together.
pub(super) fn of_split(entries: Vec<Entry>, split: &str, holdout: f64) -> Result<Vec<Entry>> {
    let mut kept = Vec::new();
    for entry in entries {
        if split::belongs(group_of(&entry.key), split, holdout)? {
            kept.push(entry);
        }
    }
    Ok(kept)
}

/// The path of a sample up to the first dot of its file name: what the members of a webdataset sample share.
pub(super) fn group_of(key: &str) -> &str {
    let name = key.rfind('/').map_or(0, |slash| slash + 1);
    let dot = key.get(name..).and_then(|file| file.find('.'));
    dot.and_then(|dot| key.get(..name + dot)).unwrap_or(key)
}
