//! layer_norm: the kernel against burn's operation, and its gradients.

mod common;

use common::{assert_close, devices, tensor, values};
use tessera_shaders::{layer_norm, layer_norm_reference};

#[test]
fn kernel_agrees_with_reference_on_odd_sizes() {
    for device in devices() {
        for [rows, width] in [[1, 1], [2, 2], [3, 15], [1, 16], [7, 17], [5, 97], [300, 192], [3, 20_001]] {
            let x = tensor([1, rows, width], 3, &device).mul_scalar(0.3).add_scalar(2.0);
            let (gamma, beta) = (tensor([width], 4, &device), tensor([width], 5, &device));
            let found = layer_norm(x.clone(), gamma.clone(), beta.clone(), 1e-5);
            let expected = layer_norm_reference(x, gamma, beta, 1e-5);
            assert_close(&values(found), &values(expected), 5e-5, &format!("{rows} {width} on {device:?}"));
        }
    }
}

#[test]
fn strided_inputs_are_read_right() {
    for device in devices() {
        let x = tensor([33, 4, 5], 3, &device).permute([1, 2, 0]);
        let (gamma, beta) = (tensor([33], 4, &device), tensor([33], 5, &device));
        let found = layer_norm(x.clone(), gamma.clone(), beta.clone(), 1e-5);
        assert_close(&values(found), &values(layer_norm_reference(x, gamma, beta, 1e-5)), 2e-5, "strided");
    }
}

#[test]
fn gradients_equal_those_of_the_reference() {
    for device in devices() {
        for [rows, width] in [[1, 2], [5, 16], [9, 37], [400, 64]] {
            let gradients = |kernel: bool| {
                let x = tensor([rows, width], 3, &device).autodiff().require_grad();
                let gamma = tensor([width], 4, &device).autodiff().require_grad();
                let beta = tensor([width], 5, &device).autodiff().require_grad();
                let run = if kernel { layer_norm } else { layer_norm_reference };
                let y = run(x.clone(), gamma.clone(), beta.clone(), 1e-5);
                let gradients = (y.clone() * y.tanh()).sum().backward();
                [
                    values(x.grad(&gradients).expect("a gradient")),
                    values(gamma.grad(&gradients).expect("a gradient")),
                    values(beta.grad(&gradients).expect("a gradient")),
                ]
            };
            for (found, expected) in gradients(true).iter().zip(gradients(false)) {
                assert_close(found, &expected, 5e-4, &format!("{rows} {width} on {device:?}"));
            }
        }
    }
}
