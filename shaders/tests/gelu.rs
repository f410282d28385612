//! gelu: the kernel against burn's activation, and its gradient.

mod common;

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
