//! Adaptive layer normalisation and the gated residual that goes with it: checks and dispatch.

use burn::tensor::{Tensor, module};

/// `norm(x) * (1 + scale) + shift`, where `norm` is layer normalisation over the channels without parameters (adaLN).
///
/// - `x`: `[batch, length, channels]`
/// - `shift`, `scale`: `[batch, kinds, channels]`, one or two kinds of position: the first `first` positions take kind 0,
///   the others kind 1; with one kind `first` is ignored
///
/// Source: Peebles and Xie 2023, "Scalable Diffusion Models with Transformers"; one modulation for each kind of token as in
/// FlexTok (arXiv 2502.13967).
///
/// # Panics
/// If shapes do not fit: a shape error, as in any tensor operation.
pub fn modulated_norm(x: Tensor<3>, shift: Tensor<3>, scale: Tensor<3>, first: usize, epsilon: f32) -> Tensor<3> {
    check("modulated_norm", &x, &shift, first);
    check("modulated_norm", &x, &scale, first);
    modulated_norm_reference(x, shift, scale, first, epsilon)
}

/// [`modulated_norm`] in tensor operations.
pub fn modulated_norm_reference(
    x: Tensor<3>,
    shift: Tensor<3>,
    scale: Tensor<3>,
    first: usize,
    epsilon: f32,
) -> Tensor<3> {
    let [_, length, channels] = x.dims();
    let ones = Tensor::ones([channels], &x.device());
    let normal = module::layer_norm(x, ones, None, f64::from(epsilon));
    normal * (by_position(scale, length, first) + 1.0) + by_position(shift, length, first)
}

/// `x + gate * y`, with a gate `[batch, kinds, channels]` as in [`modulated_norm`].
///
/// # Panics
/// If shapes do not fit: a shape error, as in any tensor operation.
pub fn gated_add(x: Tensor<3>, y: Tensor<3>, gate: Tensor<3>, first: usize) -> Tensor<3> {
    assert!(x.dims() == y.dims(), "gated_add: {:?} and {:?} differ", x.dims(), y.dims());
    check("gated_add", &x, &gate, first);
    gated_add_reference(x, y, gate, first)
}

/// [`gated_add`] in tensor operations.
pub fn gated_add_reference(x: Tensor<3>, y: Tensor<3>, gate: Tensor<3>, first: usize) -> Tensor<3> {
    let [_, length, _] = x.dims();
    x + y * by_position(gate, length, first)
}

fn check(what: &str, x: &Tensor<3>, modulation: &Tensor<3>, first: usize) {
    let ([batch, length, channels], [of, kinds, wide]) = (x.dims(), modulation.dims());
    assert!(
        of == batch && wide == channels && (kinds == 1 || kinds == 2 && first <= length),
        "{what}: modulation {:?} with {first} first positions does not fit {:?}",
        modulation.dims(),
        x.dims()
    );
}

/// `[batch, kinds, channels]` as `[batch, length, channels]`, or with a length of one where there is one kind.
fn by_position(modulation: Tensor<3>, length: usize, first: usize) -> Tensor<3> {
    let [batch, kinds, channels] = modulation.dims();
    if kinds == 1 {
        return modulation;
    }
    let kind = |kind: usize, count: usize| {
        modulation.clone().slice([0..batch, kind..kind + 1]).expand([batch, count, channels])
    };
    match (first, length - first) {
        (0, _) => kind(1, length),
        (_, 0) => kind(0, length),
        (first, rest) => Tensor::cat(vec![kind(0, first), kind(1, rest)], 1),
    }
}
