//! swiglu: the kernel against its reference, and its gradients.

mod common;

use common::{assert_close, devices, tensor, values};
use tessera_shaders::{swiglu, swiglu_reference};

#[test]
fn kernel_agrees_with_reference_on_odd_sizes() {
    for device in devices() {
        for count in [1, 2, 15, 16, 17, 97, 16 * 1024 + 5] {
            let (gate, up) = (tensor([1, count], 3, &device).mul_scalar(9.0), tensor([1, count], 4, &device));
            let found = swiglu(gate.clone(), up.clone());
            assert_close(&values(found), &values(swiglu_reference(gate, up)), 5e-6, &format!("{count} on {device:?}"));
        }
    }
}

#[test]
fn strided_and_shared_inputs_are_read_right() {
    for device in devices() {
        let packed = tensor([5, 14], 3, &device);
        let (gate, up) = (packed.clone().slice([0..5, 0..7]), packed.clone().slice([0..5, 7..14]));
        let before = values(packed.clone());
        let found = swiglu(gate.clone(), up.clone());
        assert_close(&values(found), &values(swiglu_reference(gate.clone(), up)), 2e-6, "a packed projection");
        let gate = gate.transpose();
        let found = swiglu(gate.clone(), gate.clone());
        assert_close(&values(found), &values(swiglu_reference(gate.clone(), gate)), 2e-6, "strided");
        assert_eq!(values(packed), before);
    }
}

#[test]
fn large_values_stay_finite() {
    for device in devices() {
        let gate = burn::tensor::Tensor::<1>::from_floats([-1e4, -100.0, -88.0, 0.0, 88.0, 100.0, 1e4], &device);
        let found = values(swiglu(gate.clone(), gate.ones_like()));
        assert_close(&found, &[0.0, 0.0, 0.0, 0.0, 88.0, 100.0, 1e4], 1e-3, &format!("{device:?}"));
    }
}

#[test]
fn gradients_equal_those_of_the_reference() {
    for device in devices() {
        let gradients = |kernel: bool| {
            let gate = tensor([3, 37], 3, &device).mul_scalar(5.0).autodiff().require_grad();
            let up = tensor([3, 37], 4, &device).autodiff().require_grad();
            let run = if kernel { swiglu } else { swiglu_reference };
            let y = run(gate.clone(), up.clone());
            let gradients = (y.clone() * y).sum().backward();
            [gate, up].map(|x| values(x.grad(&gradients).expect("a gradient")))
        };
        for (found, expected) in gradients(true).iter().zip(gradients(false)) {
            assert_close(found, &expected, 5e-5, &format!("{device:?}"));
        }
    }
}
