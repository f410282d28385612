//! Files that are either complete or not there: write under a temporary name, then rename.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use image::ImageEncoder as _;
use image::codecs::png::PngEncoder;

use crate::error::{DatasetError, Result};
use crate::picture::Picture;

/// Writes an 8-bit RGB PNG, completely or not at all.
///
/// # Errors
/// As [`write_atomically`].
pub fn save_png(path: impl AsRef<Path>, picture: &Picture) -> Result<()> {
    write_atomically(path, |writer| {
        let (width, height) = (picture.width(), picture.height());
        PngEncoder::new(writer).write_image(picture.rgb(), width, height, image::ExtendedColorType::Rgb8).map_err(
            |error| match error {
                image::ImageError::IoError(error) => error,
                other => io::Error::other(other),
            },
        )
    })
}

/// Writes a file through `write` so that readers see the old content or the new, never a part.
///
/// The bytes go to a new hidden file in the same folder, are flushed and synchronised to disk, and take the name
/// `path` at the end. If anything fails, `write` included, the temporary file is removed and an existing file of that
/// name is unchanged. The permissions of an existing file are kept; a symbolic link is replaced, not followed.
///
/// # Errors
/// [`DatasetError::NoSuchFolder`], [`DatasetError::NotAFileName`], [`DatasetError::ReadOnly`],
/// [`DatasetError::PermissionDenied`], [`DatasetError::DiskFull`] or [`DatasetError::Write`]. Errors that `write` returns
/// are sorted by their kind in the same way.
pub fn write_atomically(
    path: impl AsRef<Path>,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<()> {
    let path = path.as_ref();
    let failed = |error| DatasetError::writing(path, error);
    let folder = folder_of(path)?;
    let existing = fs::symlink_metadata(path).ok();
    if existing.as_ref().is_some_and(fs::Metadata::is_dir) {
        return Err(DatasetError::NotAFileName { path: path.to_path_buf() });
    }
    let permissions = existing.filter(fs::Metadata::is_file).map(|metadata| metadata.permissions());
    if permissions.as_ref().is_some_and(fs::Permissions::readonly) {
        return Err(DatasetError::ReadOnly { path: path.to_path_buf() });
    }

    let (file, temporary) = create_temporary(&folder, path)?;
    let mut writer = BufWriter::new(file);
    write(&mut writer).map_err(failed)?;
    writer.flush().map_err(failed)?;
    writer.get_ref().sync_all().map_err(failed)?;
    drop(writer);
    if let Some(permissions) = permissions {
        fs::set_permissions(&temporary.path, permissions).map_err(failed)?;
    }
    temporary.rename_to(path).map_err(failed)?;
    // Makes the rename itself durable where folders can be synchronised; the content is safe in any case.
    #[cfg(unix)]
    File::open(&folder).and_then(|folder| folder.sync_all()).ok();
    Ok(())
}

/// The folder that will hold `path`, checked to exist.
fn folder_of(path: &Path) -> Result<PathBuf> {
    if path.file_name().is_none() {
        return Err(DatasetError::NotAFileName { path: path.to_path_buf() });
    }
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    match fs::metadata(&folder) {
        Ok(metadata) if metadata.is_dir() => Ok(folder),
        Ok(_) => Err(DatasetError::NotAFolder { path: folder }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(DatasetError::NoSuchFolder { folder, path: path.to_path_buf() })
        }
        Err(error) => Err(DatasetError::writing(&folder, error)),
    }
}

/// Opens a file that did not exist before, next to `path`.
fn create_temporary(folder: &Path, path: &Path) -> Result<(File, Temporary)> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        // Independent of the target's name, which may be as long as the file system allows already.
        let temporary = folder.join(format!(".tessera-{}-{number}.tmp", std::process::id()));
        match OpenOptions::new().write(true).create_new(true).open(&temporary) {
            Ok(file) => {
                return Ok((file, Temporary { path: temporary, renamed: false }));
            }
            // Left behind by a killed process that had the same id: take the next number.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(DatasetError::writing(path, error)),
        }
    }
}

/// A file that is removed when dropped (also by a panic in the caller's closure) unless it was renamed.
struct Temporary {
    path: PathBuf,
    renamed: bool,
}

impl Temporary {
    fn rename_to(mut self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path)?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            fs::remove_file(&self.path).ok();
        }
    }
}
