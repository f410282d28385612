//! Saving is all or nothing.

mod common;

use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;

use common::procedural;
use tessera_datasets::{DatasetError, LoadOptions, load_picture, save_png, write_atomically};

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_saved_picture_loads_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a b.png");
    save_png(&path, &procedural(31, 17)).unwrap();
    save_png(&path, &procedural(17, 31)).unwrap();
    assert_eq!(load_picture(&path, &LoadOptions::default()).unwrap(), procedural(17, 31));
    assert_eq!(names(folder.path()), ["a b.png"]);
}

#[test]
fn a_failing_writer_leaves_the_old_file_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.bin");
    fs::write(&path, "old").unwrap();
    let error = write_atomically(&path, |writer| {
        writer.write_all(b"half of the new")?;
        Err(io::Error::from(ErrorKind::BrokenPipe))
    });
    assert!(matches!(error.unwrap_err(), DatasetError::Write { kind: ErrorKind::BrokenPipe, .. }));
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(names(folder.path()), ["tokens.bin"]);
}

#[test]
fn a_panicking_writer_leaves_the_old_file_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.bin");
    fs::write(&path, "old").unwrap();
    let caught = std::panic::catch_unwind(|| write_atomically(&path, |_| panic!("a bug in the closure")));
    assert!(caught.is_err());
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(names(folder.path()), ["tokens.bin"]);
}

#[test]
fn causes_are_sorted_by_kind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    let failing = |kind: ErrorKind| write_atomically(&path, |_| Err(io::Error::from(kind))).unwrap_err();
    for kind in [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::FileTooLarge] {
        let error = failing(kind);
        assert!(matches!(error, DatasetError::DiskFull { kind: found, .. } if found == kind), "{error}");
        assert!(error.to_string().contains(&format!("{kind:?}")));
    }
    assert!(matches!(failing(ErrorKind::PermissionDenied), DatasetError::PermissionDenied { .. }));
    assert!(names(folder.path()).is_empty());
}

#[test]
fn targets_that_cannot_be_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let picture = procedural(2, 2);
    let missing = save_png(folder.path().join("no/such/x.png"), &picture).unwrap_err();
    assert!(matches!(missing, DatasetError::NoSuchFolder { .. }), "{missing}");
    assert!(matches!(save_png(folder.path(), &picture).unwrap_err(), DatasetError::NotAFileName { .. }));
    assert!(matches!(save_png("..", &picture).unwrap_err(), DatasetError::NotAFileName { .. }));
    fs::write(folder.path().join("file"), "").unwrap();
    let below_a_file = save_png(folder.path().join("file/x.png"), &picture).unwrap_err();
    assert!(matches!(below_a_file, DatasetError::NotAFolder { .. }), "{below_a_file}");
    assert_eq!(names(folder.path()), ["file"]);
}

#[test]
fn a_read_only_file_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kept.png");
    fs::write(&path, "old").unwrap();
    let mut permissions = fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&path, permissions).unwrap();
    assert!(matches!(save_png(&path, &procedural(2, 2)).unwrap_err(), DatasetError::ReadOnly { .. }));
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
}

#[cfg(unix)]
#[test]
fn permissions_of_a_replaced_file_are_kept() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("private.png");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    save_png(&path, &procedural(2, 2)).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}
