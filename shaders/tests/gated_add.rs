//! gated_add: the kernel against its reference, and its gradients.

mod common;

use burn::tensor::Tensor;
use common::{assert_close, devices, tensor, values};
use tessera_shaders::{gated_add, gated_add_reference};

/// batch, length, channels, kinds, first
const SIZES: [[usize; 5]; 6] =
    [[1, 1, 1, 1, 0], [2, 3, 17, 1, 9], [2, 5, 16, 2, 0], [2, 5, 33, 2, 5], [3, 7, 15, 2, 3], [2, 200, 192, 2, 77]];

#[test]
fn kernel_agrees_with_reference_on_odd_sizes() {
    for device in devices() {
        for [batch, length, channels, kinds, first] in SIZES {
            let [x, y] = [3, 4].map(|seed| tensor([batch, length, channels], seed, &device));
            let gate = tensor([batch, kinds, channels], 5, &device);
            let found = gated_add(x.clone(), y.clone(), gate.clone(), first);
            let what = format!("{batch} {length} {channels} {kinds} {first} on {device:?}");
            assert_close(&values(found), &values(gated_add_reference(x, y, gate, first)), 1e-6, &what);
        }
    }
}

#[test]
fn strided_and_shared_inputs_are_read_right() {
    for device in devices() {
        let x = tensor([33, 2, 5], 3, &device).permute([1, 2, 0]);
        let y = tensor([2, 33, 5], 4, &device).swap_dims(1, 2);
        let gate = tensor([2, 2, 66], 5, &device).slice([0..2, 0..2, 33..66]);
        let before = values(x.clone());
        let found = gated_add(x.clone(), y.clone(), gate.clone(), 2);
        assert_eq!(values(x.clone()), before);
        assert_close(&values(found), &values(gated_add_reference(x, y, gate, 2)), 1e-6, "strided");
    }
}

#[test]
fn gradients_equal_those_of_the_reference() {
    for device in devices() {
        for [batch, length, channels, kinds, first] in SIZES {
            let gradients = |kernel: bool| {
                let tracked = |x: Tensor<3>| x.autodiff().require_grad();
                let [x, y] = [3, 4].map(|seed| tracked(tensor([batch, length, channels], seed, &device)));
                let gate = tracked(tensor([batch, kinds, channels], 5, &device));
                let run = if kernel { gated_add } else { gated_add_reference };
                let sum = run(x.clone(), y.clone(), gate.clone(), first);
                let gradients = (sum.clone() * sum.tanh()).sum().backward();
                [x, y, gate].map(|x| values(x.grad(&gradients).expect("a gradient")))
            };
            for (found, expected) in gradients(true).iter().zip(gradients(false)) {
                let what = format!("{batch} {length} {channels} {kinds} {first} on {device:?}");
                assert_close(found, &expected, 1e-4, &what);
            }
        }
    }
}
