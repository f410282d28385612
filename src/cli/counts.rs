//! The token counts that a command decodes.

use anyhow::{Result, ensure};
use tessera::tokenizers::TokenizerInfo;

/// The token counts to decode, checked, in the order given; by default powers of two up to `all`. A model that decodes no
/// prefix has one count, one whose tokens stand in scales the ends of its scales: of shapes all, of pictures seven
/// of them at most.
pub fn counts(wanted: &[usize], info: &TokenizerInfo, all: usize) -> Result<Vec<usize>> {
    if !info.prefix_decodes {
        ensure!(
            wanted.iter().all(|&count| count == all),
            "--tokens: {} decodes all of its {all} tokens only",
            info.architecture
        );
        return Ok(vec![all]);
    }
    let ends = tessera::scale_ends(&info.layout);
    if wanted.is_empty() && !ends.is_empty() {
        // Shapes are looked at one scale after the other.
        if tessera::is_of_shapes(info) {
            return Ok(ends);
        }
        let step = ends.len().div_ceil(7).max(1);
        let mut some: Vec<usize> = ends.into_iter().rev().step_by(step).collect();
        some.reverse();
        return Ok(some);
    }
    if wanted.is_empty() {
        let mut counts: Vec<usize> =
            std::iter::successors(Some(all), |&count| Some(count / 2)).take_while(|&count| count > 0).take(7).collect();
        counts.reverse();
        return Ok(counts);
    }
    for &count in wanted {
        ensure!((1..=all).contains(&count), "--tokens: expected numbers from 1 to {all}, found {count}");
    }
    Ok(wanted.to_vec())
}
