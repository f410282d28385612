//! group_norm_silu: kernels against the reference, on every device.

mod common;

use burn::tensor::{Device, Tensor};
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
fn strided_inputs_are_read_right() {
    for device in devices() {
        let x = tensor([2, 3, 5, 8], 8, &device).permute([0, 3, 1, 2]);
        let (gamma, beta) = (tensor([8], 1, &device), tensor([8], 2, &device));
        let found = group_norm_silu(x.clone(), gamma.clone(), beta.clone(), 4, 1e-6, true);
        let expected = group_norm_silu_reference(x, gamma, beta, 4, 1e-6, true);
        assert_close(&values(found), &values(expected), 2e-5, &format!("{device:?}"));
    }
}

fn gradients(kernel: bool, [b, c, h, w]: [usize; 4], groups: usize, silu: bool, device: &Device) -> [Vec<f32>; 3] {
    let x = tensor([b, c, h, w], 3, device).add_scalar(0.5).autodiff().require_grad();
    let [gamma, beta] = [1, 2].map(|seed| tensor([c], seed, device).mul_scalar(2.0).autodiff().require_grad());
    let run = if kernel { group_norm_silu } else { group_norm_silu_reference };
    let y = run(x.clone(), gamma.clone(), beta.clone(), groups, 1e-6, silu);
    let gradients = (y.clone() * y.tanh()).sum().backward();
    let found = |x: Option<Tensor<1>>| values(x.expect("a gradient"));
    let of_x = values(x.grad(&gradients).expect("a gradient"));
    [of_x, found(gamma.grad(&gradients)), found(beta.grad(&gradients))]
}

#[test]
fn gradients_equal_those_of_the_reference() {
    for device in devices() {
        for (shape, groups) in
            [([1, 4, 3, 3], 2), ([2, 32, 3, 5], 32), ([2, 64, 16, 16], 32), ([3, 12, 7, 2], 4), ([1, 6, 65, 61], 2)]
        {
            for silu in [false, true] {
                let [found, expected] = [true, false].map(|kernel| gradients(kernel, shape, groups, silu, &device));
                for (found, expected) in found.iter().zip(&expected) {
                    let largest = expected.iter().fold(1.0, |largest: f32, value| largest.max(value.abs()));
                    assert_close(found, expected, 1e-4 * largest, &format!("{shape:?} {groups} {silu} {device:?}"));
                }
            }
        }
    }
}

#[test]
fn gradients_are_the_same_every_time() {
    let device = Device::flex();
    let once = gradients(true, [3, 64, 31, 33], 32, true, &device);
    for _ in 0..5 {
        assert_eq!(once, gradients(true, [3, 64, 31, 33], 32, true, &device));
    }
}
