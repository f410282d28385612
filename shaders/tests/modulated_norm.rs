//! modulated_norm: kernels against the reference, and its gradients.

mod common;

use burn::tensor::Tensor;
use common::{assert_close, devices, tensor, values};
use tessera_shaders::{modulated_norm, modulated_norm_reference};

/// batch, length, channels, kinds, first
const SIZES: [[usize; 5]; 9] = [
    [1, 1, 1, 1, 0],
    [2, 3, 2, 1, 7],
    [1, 5, 15, 2, 0],
    [2, 5, 16, 2, 5],
    [3, 7, 17, 2, 3],
    [1, 9, 97, 2, 8],
    [2, 130, 192, 2, 50],
    [2, 200, 64, 1, 0],
    [1, 3, 20_001, 2, 1],
];

#[test]
fn kernel_agrees_with_reference_on_odd_sizes() {
    for device in devices() {
        for [batch, length, channels, kinds, first] in SIZES {
            let x = tensor([batch, length, channels], 3, &device).mul_scalar(0.3).add_scalar(2.0);
            let [shift, scale] = [4, 5].map(|seed| tensor([batch, kinds, channels], seed, &device));
            let found = modulated_norm(x.clone(), shift.clone(), scale.clone(), first, 1e-5);
            let expected = modulated_norm_reference(x, shift, scale, first, 1e-5);
            let what = format!("{batch} {length} {channels} {kinds} {first} on {device:?}");
            assert_close(&values(found), &values(expected), 1e-4, &what);
        }
    }
}

#[test]
fn strided_inputs_are_read_right() {
    for device in devices() {
        let x = tensor([33, 2, 5], 3, &device).permute([1, 2, 0]);
        let packed = tensor([2, 2, 66], 4, &device);
        let [shift, scale] = [0, 33].map(|start| packed.clone().slice([0..2, 0..2, start..start + 33]));
        let found = modulated_norm(x.clone(), shift.clone(), scale.clone(), 2, 1e-5);
        let expected = modulated_norm_reference(x, shift, scale, 2, 1e-5);
        assert_close(&values(found), &values(expected), 2e-5, "strided");
    }
}

fn gradients(size: [usize; 5], kernel: bool, device: &burn::tensor::Device) -> [Vec<f32>; 3] {
    let [batch, length, channels, kinds, first] = size;
    let tracked = |x: Tensor<3>| x.autodiff().require_grad();
    let x = tracked(tensor([batch, length, channels], 3, device));
    let [shift, scale] = [4, 5].map(|seed| tracked(tensor([batch, kinds, channels], seed, device)));
    let run = if kernel { modulated_norm } else { modulated_norm_reference };
    let y = run(x.clone(), shift.clone(), scale.clone(), first, 1e-5);
    let gradients = (y.clone() * y.tanh()).sum().backward();
    [x, shift, scale].map(|x| values(x.grad(&gradients).expect("a gradient")))
}

#[test]
fn gradients_equal_those_of_the_reference() {
    for device in devices() {
        for size in SIZES.into_iter().take(8).skip(1) {
            for (found, expected) in gradients(size, true, &device).iter().zip(gradients(size, false, &device)) {
                assert_close(found, &expected, 1e-3, &format!("{size:?} on {device:?}"));
            }
        }
    }
}

#[test]
fn gradients_are_the_same_every_time() {
    let device = burn::tensor::Device::flex();
    let size = [3, 400, 192, 2, 150];
    let once = gradients(size, true, &device);
    for _ in 0..5 {
        assert_eq!(once, gradients(size, true, &device));
    }
}
