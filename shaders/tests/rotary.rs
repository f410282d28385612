//! rotary: kernels against the reference, and its gradient.

mod common;

use burn::tensor::{Device, Tensor};
use common::{assert_close, devices, tensor, values};
use tessera_shaders::{rotary, rotary_reference};

/// batch, length, heads, half
const SIZES: [[usize; 4]; 6] =
    [[1, 1, 1, 1], [2, 3, 1, 5], [1, 70, 3, 8], [3, 65, 2, 16], [2, 130, 5, 7], [1, 257, 12, 32]];

fn inputs([batch, length, heads, half]: [usize; 4], device: &Device) -> (Tensor<3>, Tensor<2>, Tensor<2>) {
    let angles = tensor::<2>([length, half], 4, device).mul_scalar(3.0);
    (tensor([batch, length, heads * 2 * half], 3, device), angles.clone().cos(), angles.sin())
}

#[test]
fn kernel_agrees_with_reference_on_odd_sizes() {
    for device in devices() {
        for size in SIZES {
            let (x, cos, sin) = inputs(size, &device);
            let expected = values(rotary_reference(x.clone(), cos.clone(), sin.clone()));
            assert_close(&values(rotary(x, cos, sin)), &expected, 1e-6, &format!("{size:?} on {device:?}"));
        }
    }
}

#[test]
fn views_are_read_right_and_rows_of_zeros_make_zeros() {
    for device in devices() {
        let (x, cos, sin) = inputs([2, 9, 6, 4], &device);
        let part = x.slice([0..2, 0..9, 16..32]);
        let closed = Tensor::cat(vec![Tensor::zeros([2, 4], &device), Tensor::ones([7, 4], &device)], 0);
        let (cos, sin) = (cos * closed.clone(), sin * closed);
        let found = values(rotary(part.clone(), cos.clone(), sin.clone()));
        assert_close(&found, &values(rotary_reference(part.clone(), cos.clone(), sin.clone())), 1e-6, "view");
        assert!(found[..32].iter().all(|&value| value == 0.0) && found[32] != 0.0);
        // The view's owner is as it was.
        assert_close(&values(rotary(part.clone(), cos, sin)), &found, 0.0, "again");
    }
}

#[test]
fn gradients_equal_those_of_the_reference() {
    let gradient = |run: fn(Tensor<3>, Tensor<2>, Tensor<2>) -> Tensor<3>, size, device: &Device| {
        let (x, cos, sin) = inputs(size, device);
        let x = x.autodiff().require_grad();
        let y = run(x.clone(), cos.autodiff(), sin.autodiff());
        values(x.grad(&(y.clone() * y.tanh()).sum().backward()).expect("a gradient"))
    };
    for device in devices() {
        for size in SIZES {
            let (found, expected) = (gradient(rotary, size, &device), gradient(rotary_reference, size, &device));
            assert_close(&found, &expected, 1e-5, &format!("{size:?} on {device:?}"));
        }
    }
}
