//! CPU twin of `patchify.wgsl`.

use rayon::prelude::*;

use crate::patchify::PatchGeometry;

/// `[b, c, gh * p, gw * p] -> [b, gh * gw, p * p * c]`.
pub fn patchify(picture: &[f32], geometry: &PatchGeometry) -> Vec<f32> {
    let mut patches = vec![0.0; picture.len()];
    if patches.is_empty() {
        return patches;
    }
    // One task fills the patches of one row of the grid, which lie side by side.
    patches.par_chunks_mut(geometry.row_of_patches()).enumerate().for_each(|(grid_row, out)| {
        geometry.for_each_run(grid_row, |pixel, patch, length, stride| {
            for i in 0..length {
                out[patch + i * stride] = picture[pixel + i];
            }
        });
    });
    patches
}

/// `[b, gh * gw, p * p * c] -> [b, c, gh * p, gw * p]`.
pub fn unpatchify(patches: &[f32], geometry: &PatchGeometry) -> Vec<f32> {
    let mut picture = vec![0.0; patches.len()];
    for (grid_row, source) in patches.chunks(geometry.row_of_patches().max(1)).enumerate() {
        geometry.for_each_run(grid_row, |pixel, patch, length, stride| {
            for i in 0..length {
                picture[pixel + i] = source[patch + i * stride];
            }
        });
    }
    picture
}
