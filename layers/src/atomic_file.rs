//! A file that appears whole or not at all.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// A file being written under a temporary name beside its final place; dropped before [`AtomicFile::commit`] it removes
/// itself, and what stood in its place stays as it was.
pub struct AtomicFile {
    path: PathBuf,
    writer: BufWriter<NamedTempFile>,
}

impl AtomicFile {
    /// Begins the file that will be at `path`.
    ///
    /// # Errors
    /// That of the system if the folder does not exist or cannot be written to.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".tessera-").suffix(".tmp");
        // The rights of any new file, as the process's umask has them, rather than a secret's.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let writer = BufWriter::new(builder.tempfile_in(folder_of(path))?);
        Ok(Self { path: path.to_owned(), writer })
    }

    /// Flushes the file to the disk and gives it its name, in place of a file that had it before.
    ///
    /// # Errors
    /// That of the system, a full disk among others.
    pub fn commit(self) -> io::Result<()> {
        let file = self.writer.into_inner().map_err(|error| error.into_error())?;
        file.as_file().sync_all()?;
        file.persist(&self.path).map_err(|error| error.error)?;
        // The new name too should survive a power cut. Not every system can flush a folder, and the file is whole already.
        File::open(folder_of(&self.path)).and_then(|folder| folder.sync_all()).ok();
        Ok(())
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// The folder that a file lies in.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
