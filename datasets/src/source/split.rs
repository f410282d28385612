//! The split of samples that no table splits: a hash of the key decides.

use crate::error::{DatasetError, Result};

/// Whether the sample group `group` belongs to `split` when `holdout` of all go to `val` and as many to `test`.
///
/// The hash is FNV-1a with a finisher, without a seed: a sample stays in its split in every run, on every machine, and
/// whatever is added to the data.
pub(super) fn belongs(group: &str, split: &str, holdout: f64) -> Result<bool> {
    // 53 bits, so that the quotient is exact and below 1.
    let place = (hash(group) >> 11) as f64 / (1u64 << 53) as f64;
    let found = if place < holdout {
        "val"
    } else if place < 2.0 * holdout {
        "test"
    } else {
        "train"
    };
    match split {
        "train" | "val" | "test" => Ok(split == found),
        other => Err(DatasetError::Setting {
            setting: "split",
            expected: "`train`, `val` or `test` where no table has a column `split`",
            found: format!("{other:?}"),
        }),
    }
}

/// FNV-1a, then a finisher that spreads its upper bits.
fn hash(text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    crate::loader::mix(text.bytes().fold(0xcbf2_9ce4_8422_2325, step))
}
