//! Releases of several files that are read as one.

use std::path::{Path, PathBuf};

/// A release of several files: its main one, and the others with what their tensors' names begin with in the whole.
struct Release {
    main: &'static str,
    others: &'static [(&'static str, &'static str)],
}

/// SEED-2 and SEED-1. The ViT is that of LAVIS and was released apart; of SEED-1, the Q-Former is in its first training
/// stage's file.
const RELEASES: [Release; 2] = [
    Release { main: "seed_quantizer.pt", others: &[("eva_vit_g.pth", "visual_encoder.")] },
    Release { main: "seed_tokenizer.pth", others: &[("causal_qformer.pth", ""), ("eva_vit_g.pth", "visual_encoder.")] },
];

/// The files beside `path` that belong to it, with their prefixes; none where `path` is no main file.
pub(super) fn beside(path: &Path) -> Vec<(PathBuf, &'static str)> {
    let others = RELEASES.iter().find(|release| path.file_name().is_some_and(|name| name == release.main));
    let others = others.map_or(&[][..], |release| release.others);
    let placed = others.iter().map(|(name, prefix)| (path.with_file_name(name), *prefix));
    placed.filter(|(path, _)| path.is_file()).collect()
}

/// The file among `files` that [`Weights::open`](super::Weights::open) reads together with the others of its release;
/// `None` if there is none, or more than one.
pub fn main_file(files: &[PathBuf]) -> Option<PathBuf> {
    let is_main =
        |file: &&PathBuf| RELEASES.iter().any(|release| file.file_name().is_some_and(|name| name == release.main));
    let mut found = files.iter().filter(is_main);
    found.next().filter(|_| found.next().is_none()).cloned()
}
