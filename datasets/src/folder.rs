//! Lists the image files of a folder.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{DatasetError, Result};

/// File extensions that count as images, in lower case.
const EXTENSIONS: [&str; 4] = ["png", "jpg", "jpeg", "webp"];

/// The image files of `folder`, sorted by path; an empty list if there are none.
///
/// Chosen by extension (`png`, `jpg`, `jpeg`, `webp`, upper or lower case) without opening them. Names beginning with a dot
/// are skipped. With `recursive`, folders inside are searched too; symbolic links to folders are not followed, so a
/// link in a circle does no harm. Links to files are listed.
///
/// # Errors
/// [`DatasetError::NotFound`], [`DatasetError::NotAFolder`], [`DatasetError::PermissionDenied`] or
/// [`DatasetError::Read`], also about a folder inside: a list that silently lacks a part would be worse.
pub fn image_folder(folder: impl AsRef<Path>, recursive: bool) -> Result<Vec<PathBuf>> {
    let mut images = Vec::new();
    let mut pending = vec![folder.as_ref().to_path_buf()];
    while let Some(folder) = pending.pop() {
        let reading = |error| DatasetError::reading(&folder, error);
        for entry in fs::read_dir(&folder).map_err(reading)? {
            let entry = entry.map_err(reading)?;
            let path = entry.path();
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            if entry.file_type().map_err(reading)?.is_dir() {
                if recursive {
                    pending.push(path);
                }
            } else if has_image_extension(&path) && !path.is_dir() {
                images.push(path);
            }
        }
    }
    images.sort();
    Ok(images)
}

/// Whether the name says that this is an image.
pub(crate) fn has_image_extension(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|found| EXTENSIONS.iter().any(|known| found.eq_ignore_ascii_case(known)))
}
