//! Folders, files and the hub's cache.

use std::fs;
use std::path::Path;

use tessera_layers::checkpoint::{CheckpointError, CheckpointFiles, LocateOptions, Weights, WeightsKind, locate_with};

use super::support::{tensor, write};

fn nowhere() -> LocateOptions {
    LocateOptions { cache: None, offline: false }
}

fn find(path: &Path) -> Result<CheckpointFiles, CheckpointError> {
    locate_with(path.to_str().unwrap(), &nowhere())
}

fn touch(folder: &Path, names: &[&str]) {
    fs::create_dir_all(folder).unwrap();
    for name in names {
        fs::write(folder.join(name), "{}").unwrap();
    }
}

#[test]
fn folders_give_one_model_or_say_what_they_hold() {
    let root = tempfile::tempdir().unwrap();
    let check = |names: &[&str]| {
        let folder = tempfile::tempdir_in(root.path()).unwrap().keep();
        touch(&folder, names);
        find(&folder).map(|files| {
            let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
            (name(&files.weights), files.config.map(|path| name(&path)), files.kind)
        })
    };
    let found = |weights: &str, config: Option<&str>, kind| (weights.to_owned(), config.map(str::to_owned), kind);
    assert_eq!(
        check(&["a.bin", "config.json", "x.yaml", "model.safetensors"]).unwrap(),
        found("model.safetensors", Some("config.json"), WeightsKind::Safetensors)
    );
    assert_eq!(
        check(&["model.safetensors.index.json", "model-1.safetensors", "model-2.safetensors"]).unwrap(),
        found("model.safetensors.index.json", None, WeightsKind::Sharded)
    );
    assert_eq!(check(&["only.pth", "c.yml"]).unwrap(), found("only.pth", Some("c.yml"), WeightsKind::Torch));
    for (names, reason) in [
        (&["a.bin", "b.pth"][..], "several: [\"a.bin\", \"b.pth\"]"),
        (&["a.bin", "x.yaml", "y.yml"], "several configs"),
        (&["README.md"], "no weight file among its 1 files"),
        (&[], "an empty folder"),
    ] {
        let error = check(names).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn files_take_the_config_beside_them() {
    let folder = tempfile::tempdir().unwrap();
    touch(folder.path(), &["a.bin", "b.safetensors", "config.json"]);
    let files = find(&folder.path().join("b.safetensors")).unwrap();
    assert_eq!(files.config, Some(folder.path().join("config.json")));
    assert_eq!(files.weight_files().unwrap(), [folder.path().join("b.safetensors")]);
}

#[test]
fn the_cache_is_searched_by_revision_and_a_path_wins() {
    let root = tempfile::tempdir().unwrap();
    let cache = root.path().join("hub");
    let model = cache.join("models--owner--name");
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let snapshot = model.join("snapshots").join(commit);
    touch(&snapshot, &["config.json"]);
    write(&snapshot.join("model.safetensors"), &[tensor("w", &[2])]);
    fs::create_dir_all(model.join("refs/refs/pr")).unwrap();
    fs::write(model.join("refs/main"), format!("{commit}\n")).unwrap();
    fs::write(model.join("refs/refs/pr/1"), commit).unwrap();
    fs::write(model.join("refs/evil"), "../../..").unwrap();
    let options = LocateOptions { cache: Some(cache.clone()), offline: false };
    for spec in ["owner/name", "owner/name@main", &format!("owner/name@{commit}"), "owner/name@refs/pr/1"] {
        let files = locate_with(spec, &options).unwrap();
        assert_eq!(files.config, Some(snapshot.join("config.json")), "{spec}");
        assert_eq!(Weights::open(&files.weights).unwrap().entries().len(), 1);
    }
    let message = |spec: &str, options: &LocateOptions| locate_with(spec, options).unwrap_err().to_string();
    let revision = message("owner/name@v2", &options);
    assert!(revision.contains("not its revision v2") && revision.contains("hf download owner/name"), "{revision}");
    assert!(locate_with("owner/name@evil", &options).is_err());
    let absent = message("owner/other", &options);
    assert!(absent.contains(cache.to_str().unwrap()) && absent.contains("opens no connection"), "{absent}");
    let offline = LocateOptions { offline: true, ..options };
    assert!(message("owner/other", &offline).contains("HF_HUB_OFFLINE"));
    assert!(message("no-such-file.bin", &nowhere()).contains("a hub id is owner/name"));
    assert!(message("owner/other", &nowhere()).contains("HF_HOME"));
    // A file where a folder is meant is a path that does not exist, too.
    let below = snapshot.join("config.json/x");
    assert!(matches!(find(&below), Err(CheckpointError::NotFound { .. })));
}

#[cfg(unix)]
#[test]
fn a_folder_without_the_right_to_read_says_so() {
    use std::os::unix::fs::PermissionsExt as _;
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("locked");
    touch(&folder, &["model.safetensors"]);
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o000)).unwrap();
    // The superuser reads everything, so there is nothing to see then.
    if fs::read_dir(&folder).is_err() {
        let error = find(&folder).unwrap_err().to_string();
        assert!(error.contains("give this user the right"), "{error}");
    }
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
}
