//! How sure latents are of their codes, and how evenly codes are used.

use burn::tensor::{Tensor, activation};

/// Squared distances `[rows, codes]` between rows `[rows, width]` and codes `[codes, width]`.
pub fn squared_distances(rows: Tensor<2>, codes: Tensor<2>) -> Tensor<2> {
    let squares = |x: &Tensor<2>| x.clone().square().sum_dim(1);
    let products = rows.clone().matmul(codes.clone().transpose()).mul_scalar(2.0);
    squares(&rows) + squares(&codes).transpose() - products
}

/// Mean entropy of soft assignments less the entropy of their mean: low where each latent is sure of its code and all codes
/// are used. `distances`: `[rows, codes]`.
///
/// Assignments are the softmax of negative distances over a temperature of 0.01. Source: LlamaGen's released code.
pub fn assignment_entropy(distances: Tensor<2>) -> Tensor<1> {
    const TEMPERATURE: f64 = 0.01;
    let affinities = distances.div_scalar(-TEMPERATURE);
    let shares = activation::softmax(affinities.clone(), 1);
    let sure = (shares.clone() * activation::log_softmax(affinities, 1)).sum_dim(1).mean().neg();
    let mean = shares.mean_dim(0);
    let spread = (mean.clone() * mean.add_scalar(1e-5).log()).sum().neg();
    sure - spread
}
