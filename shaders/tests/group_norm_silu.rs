//! group_norm_silu: kernels against the reference, on every device.

mod common;

use common::{assert_close, devices, tensor, values};
use tessera_shaders::{group_norm_silu, group_norm_silu_reference};

#[test]
fn kernel_agrees_with_reference_on_odd_sizes() {
    for device in devices() {
        for ([b, c, h, w], groups) in
            [([1, 1, 1, 1], 1), ([2, 32, 3, 5], 32), ([1, 64, 16, 16], 32), ([3, 12, 7, 1], 4), ([1, 6, 33, 31], 2)]
        {
            for silu in [false, true] {
                let x = tensor([b, c, h, w], 8, &device).mul_scalar(0.1).add_scalar(1.0);
                let (gamma, beta) = (tensor([c], 1, &device), tensor([c], 2, &device));
                let found = group_norm_silu(x.clone(), gamma.clone(), beta.clone(), groups, 1e-6, silu);
                let expected = group_norm_silu_reference(x, gamma, beta, groups, 1e-6, silu);
                assert_close(&values(found), &values(expected), 2e-4, &format!("{b} {c} {h} {w} {device:?}"));
            }
        }
    }
}

#[test]
fn an_autodiff_device_takes_the_differentiable_reference() {
    for device in devices() {
        let x = tensor([1, 4, 3, 3], 3, &device).autodiff().require_grad();
        let (gamma, beta) = (tensor([4], 1, &device).autodiff(), tensor([4], 2, &device).autodiff());
        let y = group_norm_silu(x.clone(), gamma, beta, 2, 1e-6, true);
        let gradients = y.powf_scalar(2.0).sum().backward();
        assert!(values(x.grad(&gradients).expect("a gradient")).iter().any(|&g| g != 0.0));
    }
}
