//! The images of a source before a table has its say: from a folder, or from tars with webdataset's naming.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::entry::group_of;
use super::place::Place;
use super::shards;
use super::tar_index::{self, Member};
use crate::error::{DatasetError, Result};
use crate::folder::{has_image_extension, image_folder};

/// The files that [`Place::file`] counts, and the images in order.
pub(super) struct Listing {
    pub files: Vec<PathBuf>,
    pub images: Vec<Found>,
}

/// An image and what lies beside it.
pub(super) struct Found {
    /// Its path inside the folder or tar, `/` between the parts.
    pub key: String,
    pub place: Place,
    /// From a `.cls` member.
    pub label: Option<u32>,
    /// A `.txt` or `.caption` member.
    pub caption: Option<Place>,
}

/// Lists the folder, tar or pattern of tars at `path`.
pub(super) fn list(path: &Path) -> Result<Listing> {
    if path.is_dir() {
        return folder(path);
    }
    let files = if path.exists() { vec![path.to_path_buf()] } else { shards::expand(path)? };
    let mut images = Vec::new();
    for (file, path) in files.iter().enumerate() {
        images.extend(members(path, file, &tar_index::index(path)?)?);
    }
    Ok(Listing { files, images })
}

fn folder(folder: &Path) -> Result<Listing> {
    let files = image_folder(folder, true)?;
    let image = |(file, path): (usize, &PathBuf)| {
        let inside = path.strip_prefix(folder).unwrap_or(path);
        let parts: Vec<_> = inside.components().map(|part| part.as_os_str().to_string_lossy()).collect();
        Found { key: parts.join("/"), place: Place { file, span: None }, label: None, caption: None }
    };
    let images = files.iter().enumerate().map(image).collect();
    Ok(Listing { files, images })
}

/// What the members of one sample say beside its images.
#[derive(Default)]
struct Sidecar {
    label: Option<u32>,
    caption: Option<Place>,
}

/// The images among the members of the tar at `path`, file number `file` of the source.
///
/// Members that share their path up to the first dot of the file name are one sample of a webdataset. Each image of
/// such a group is a sample of ours, with the group's label and caption.
fn members(path: &Path, file: usize, members: &[Member]) -> Result<Vec<Found>> {
    let place = |member: &Member| Place { file, span: Some((member.offset, member.bytes)) };
    let mut sidecars: HashMap<&str, Sidecar> = HashMap::new();
    for member in members.iter().filter(|member| !is_hidden(&member.name)) {
        let group = group_of(&member.name);
        match member.name.get(group.len()..) {
            Some(".cls") => sidecars.entry(group).or_default().label = Some(label(path, member, place(member))?),
            Some(".txt" | ".caption") => sidecars.entry(group).or_default().caption = Some(place(member)),
            _ => {}
        }
    }
    let visible = members.iter().filter(|member| !is_hidden(&member.name));
    let images = visible.filter(|member| has_image_extension(Path::new(&member.name)));
    let found = images.map(|member| {
        let (label, caption) = sidecars.get(group_of(&member.name)).map_or((None, None), |it| (it.label, it.caption));
        Found { key: member.name.clone(), place: place(member), label, caption }
    });
    Ok(found.collect())
}

/// The number in a `.cls` member.
fn label(path: &Path, member: &Member, place: Place) -> Result<u32> {
    let text = place.text(path, &member.name)?;
    text.parse().map_err(|_| DatasetError::Tar {
        path: path.to_path_buf(),
        at: member.offset,
        found: format!(
            "{:?} in {:?} instead of a class number",
            text.chars().take(20).collect::<String>(),
            member.name
        ),
    })
}

/// Whether the file name or a folder of it begins with a dot, as the leavings of some file systems do.
fn is_hidden(name: &str) -> bool {
    name.split('/').any(|part| part.starts_with('.') && part != "." && part != "..")
}
