//! gelu: the kernel against its reference, and its gradient.

mod common;

use burn::tensor::{Tensor, activation};
use common::{assert_close, devices, tensor, values};
use tessera_shaders::{gelu, gelu_reference};

#[test]
fn kernel_agrees_with_reference_on_odd_sizes() {
    for device in devices() {
        for count in [1, 2, 15, 16, 17, 97, 16 * 1024 + 5] {
            let x = tensor([1, count], 3, &device).mul_scalar(6.0);
            let what = format!("{count} on {device:?}");
            assert_close(&values(gelu(x.clone())), &values(gelu_reference(x)), 2e-6, &what);
        }
    }
}

#[test]
fn a_tensor_that_others_hold_stays_as_it_is() {
    for device in devices() {
        let x = tensor([5, 7], 3, &device);
        let before = values(x.clone());
        let strided = x.clone().transpose();
        assert_close(&values(gelu(strided.clone())), &values(gelu_reference(strided)), 2e-6, "strided");
        assert_eq!(values(x), before);
    }
}

#[test]
fn gradients_equal_those_of_the_reference() {
    for device in devices() {
        let gradient = |kernel: bool| {
            let x = tensor([3, 37], 3, &device).mul_scalar(4.0).autodiff().require_grad();
            let y = if kernel { gelu(x.clone()) } else { gelu_reference(x.clone()) };
            let gradients = (y.clone() * y).sum().backward();
            values(x.grad(&gradients).expect("a gradient"))
        };
        assert_close(&gradient(true), &gradient(false), 1e-5, "gradient");
    }
}

/// Why [`gelu_reference`] is written out: if this fails, burn is mended and the reference may call it again.
#[test]
fn burn_0_22_gelu_backward_on_a_gpu_is_that_of_the_tanh_approximation() {
    for device in devices().into_iter().skip(1) {
        let gradient = |operation: fn(Tensor<2>) -> Tensor<2>| {
            let x = tensor([3, 37], 3, &device).mul_scalar(4.0).autodiff().require_grad();
            let gradients = operation(x.clone()).sum().backward();
            values(x.grad(&gradients).expect("a gradient"))
        };
        let (exact, burn) = (gradient(gelu_reference), gradient(activation::gelu));
        let error = exact.iter().zip(&burn).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(error > 1e-4, "burn's gradient differs by {error:e} only");
    }
}
