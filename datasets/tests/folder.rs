//! Listing the images of a folder.

use std::fs;
use std::path::PathBuf;

use tessera_datasets::{DatasetError, image_folder};

fn tree() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("b/deep")).unwrap();
    fs::create_dir_all(folder.path().join("folder.png")).unwrap();
    fs::create_dir_all(folder.path().join(".hidden")).unwrap();
    let files = ["z.PNG", "a.jpg", "m.webp", "k.Jpeg", "notes.txt", "png", "._a.jpg", "b/1.png", "b/deep/2.jpg"];
    for name in files.into_iter().chain([".hidden/3.png"]) {
        fs::write(folder.path().join(name), "").unwrap();
    }
    folder
}

fn relative(folder: &tempfile::TempDir, recursive: bool) -> Vec<PathBuf> {
    let found = image_folder(folder.path(), recursive).unwrap();
    found.iter().map(|path| path.strip_prefix(folder.path()).unwrap().to_path_buf()).collect()
}

#[test]
fn images_are_listed_in_order_by_extension() {
    let expected = ["a.jpg", "k.Jpeg", "m.webp", "z.PNG"].map(PathBuf::from);
    assert_eq!(relative(&tree(), false), expected);
}

#[test]
fn folders_inside_are_searched_on_request() {
    let expected = ["a.jpg", "b/1.png", "b/deep/2.jpg", "k.Jpeg", "m.webp", "z.PNG"].map(PathBuf::from);
    assert_eq!(relative(&tree(), true), expected);
}

#[cfg(unix)]
#[test]
fn a_link_in_a_circle_ends() {
    let folder = tree();
    std::os::unix::fs::symlink(folder.path(), folder.path().join("b/circle")).unwrap();
    std::os::unix::fs::symlink(folder.path().join("a.jpg"), folder.path().join("link.png")).unwrap();
    let found = relative(&folder, true);
    assert_eq!(found.len(), 7);
    assert!(found.contains(&PathBuf::from("link.png")));
}

#[test]
fn an_empty_folder_is_an_empty_list() {
    assert!(image_folder(tempfile::tempdir().unwrap().path(), true).unwrap().is_empty());
}

#[test]
fn what_is_no_folder_is_refused_by_name() {
    let folder = tree();
    let missing = image_folder(folder.path().join("nothing"), false).unwrap_err();
    assert!(matches!(missing, DatasetError::NotFound { .. }), "{missing}");
    let file = image_folder(folder.path().join("a.jpg"), false).unwrap_err();
    assert!(matches!(file, DatasetError::NotAFolder { .. }), "{file}");
}
