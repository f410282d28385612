//! Latents as sequences of patches and back; inside a patch the channel runs fastest, then the column.

use burn::tensor::Tensor;
use tessera_shaders::{PatchOrder, patchify, unpatchify};

/// `[batch, channels, h, w]` to `[batch, patches, height * width * channels]`, row by row, and the grid's rows and columns.
pub(super) fn to_patches(latents: Tensor<4>, [height, width]: [usize; 2]) -> (Tensor<3>, [usize; 2]) {
    let [batch, channels, h, w] = latents.dims();
    let grid = [h / height, w / width];
    if height == width {
        return (patchify(latents, height, PatchOrder::ChannelsLast), grid);
    }
    let [rows, columns] = grid;
    let patches = latents.reshape([batch, channels, rows, height, columns, width]).permute([0, 2, 4, 3, 5, 1]);
    (patches.reshape([batch, rows * columns, height * width * channels]), grid)
}

/// Undoes [`to_patches`].
pub(super) fn from_patches(patches: Tensor<3>, [rows, columns]: [usize; 2], [height, width]: [usize; 2]) -> Tensor<4> {
    if height == width {
        return unpatchify(patches, [rows, columns], height, PatchOrder::ChannelsLast);
    }
    let [batch, _, values] = patches.dims();
    let channels = values / (height * width).max(1);
    let latents = patches.reshape([batch, rows, columns, height, width, channels]).permute([0, 5, 1, 3, 2, 4]);
    latents.reshape([batch, channels, rows * height, columns * width])
}
