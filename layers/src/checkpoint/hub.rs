//! The model hub's cache on disk, read and never filled.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where the cache lies: `HF_HUB_CACHE`, else `HUGGINGFACE_HUB_CACHE`, else `HF_HOME/hub`, else `huggingface/hub` in
/// `XDG_CACHE_HOME` or `~/.cache`.
pub(super) fn cache_folder(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let user = || set("HOME").or_else(|| set("USERPROFILE")).map(|home| home.join(".cache"));
    set("HF_HUB_CACHE")
        .or_else(|| set("HUGGINGFACE_HUB_CACHE"))
        .or_else(|| set("HF_HOME").map(|home| home.join("hub")))
        .or_else(|| set("XDG_CACHE_HOME").or_else(user).map(|cache| cache.join("huggingface/hub")))
}

/// Whether `HF_HUB_OFFLINE` forbids the network, as the hub's own tools read it.
pub(super) fn is_offline(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    variable("HF_HUB_OFFLINE").is_some_and(|value| {
        matches!(value.to_string_lossy().to_ascii_uppercase().as_str(), "1" | "TRUE" | "YES" | "ON")
    })
}

/// The folder of `owner/name` within a cache.
pub(super) fn model_folder(cache: &Path, id: &HubId) -> PathBuf {
    cache.join(format!("models--{}--{}", id.owner, id.name))
}

/// The snapshot folder of `owner/name[@revision]`, if the cache holds it.
pub(super) fn snapshot(cache: &Path, id: &HubId) -> Option<PathBuf> {
    let model = model_folder(cache, id);
    let reference = std::fs::read_to_string(model.join("refs").join(&id.revision)).ok();
    let commit = reference.as_deref().map_or(id.revision.as_str(), str::trim);
    let folder = model.join("snapshots").join(commit);
    (is_plain(commit) && folder.is_dir()).then_some(folder)
}

/// `owner/name[@revision]`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HubId {
    pub owner: String,
    pub name: String,
    pub revision: String,
}

impl HubId {
    /// `None` if the text cannot be a hub id. A revision is a branch, a tag, a commit or `refs/pr/1`.
    pub fn parse(spec: &str) -> Option<Self> {
        let (id, revision) = spec.split_once('@').unwrap_or((spec, "main"));
        let (owner, name) = id.split_once('/')?;
        (is_plain(owner) && is_plain(name) && revision.split('/').all(is_plain)).then(|| Self {
            owner: owner.to_owned(),
            name: name.to_owned(),
            revision: revision.to_owned(),
        })
    }
}

/// One path component that leads nowhere else.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('.')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_two_plain_words() {
        let id = HubId::parse("turing-motors/One-D-Piece-S-256@v1").unwrap();
        assert_eq!((id.owner.as_str(), id.revision.as_str()), ("turing-motors", "v1"));
        assert_eq!(HubId::parse("a/b@refs/pr/1").unwrap().revision, "refs/pr/1");
        for wrong in ["model", "a/b/c", "../x", "a/..", "a/b@../../etc", "a/b@x/../y", "a/b@", "/a/b", "a/"] {
            assert_eq!(HubId::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_cache_is_found_through_the_environment() {
        let with = |pairs: &'static [(&str, &str)]| {
            cache_folder(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into()))
        };
        assert_eq!(with(&[("HF_HUB_CACHE", "/c"), ("HF_HOME", "/h")]), Some("/c".into()));
        assert_eq!(with(&[("HF_HOME", "/h"), ("HOME", "/u")]), Some("/h/hub".into()));
        assert_eq!(with(&[("XDG_CACHE_HOME", "/x"), ("HOME", "/u")]), Some("/x/huggingface/hub".into()));
        assert_eq!(with(&[("HOME", "/u")]), Some("/u/.cache/huggingface/hub".into()));
        assert_eq!(with(&[]), None);
        assert!(is_offline(|_| Some("true".into())) && !is_offline(|_| Some("0".into())) && !is_offline(|_| None));
    }
}
