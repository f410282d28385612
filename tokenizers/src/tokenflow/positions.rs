//! Tables of positions for grids of another size.

use burn::tensor::Tensor;
use tessera_layers::resample::{Resampling, resize_by};

/// A table `[1 + n^2, width]`, the class first, for a grid of `side` patches: `[1 + side^2, width]`.
///
/// The released code enlarges by `(side + 0.1) / n` and not by `side / n`, so that rounding cannot lose a row; patches
/// therefore stand a little nearer together. Taken as it is where the sizes agree.
pub(super) fn for_grid(table: Tensor<2>, side: usize) -> Tensor<2> {
    let [rows, width] = table.dims();
    let n = (rows.saturating_sub(1)).isqrt();
    if n == side {
        return table;
    }
    let class = table.clone().narrow(0, 0, 1);
    let patches = table.narrow(0, 1, n * n).reshape([1, n, n, width]).permute([0, 3, 1, 2]);
    let step = n as f64 / (side as f64 + 0.1);
    let patches = resize_by(patches, [side, side], [step, step], Resampling::CubicConvolution);
    Tensor::cat(vec![class, patches.permute([0, 2, 3, 1]).reshape([side * side, width])], 0)
}
