//! norm: the kernel against burn's operation, and its gradient.

mod common;

use common::{assert_close, devices, tensor, values};
use tessera_shaders::{norm, norm_reference};

const SIZES: [[usize; 2]; 9] = [[1, 1], [2, 2], [3, 15], [1, 16], [7, 17], [500, 64], [5, 97], [300, 192], [3, 20_001]];

#[test]
fn kernel_agrees_with_reference_on_odd_sizes() {
    for device in devices() {
        for [rows, width] in SIZES {
            let x = tensor([1, rows, 1, width], 3, &device).mul_scalar(0.3).add_scalar(2.0);
            let found = norm(x.clone(), 1e-5);
            assert_close(&values(found), &values(norm_reference(x, 1e-5)), 5e-5, &format!("{rows} {width} {device:?}"));
        }
    }
}

#[test]
fn strided_and_shared_inputs_are_read_right() {
    for device in devices() {
        let x = tensor([2, 11, 3 * 24], 3, &device).reshape([2, 11, 3, 24]).swap_dims(1, 2);
        let before = values(x.clone());
        let found = norm(x.clone(), 1e-5);
        assert_eq!(values(x.clone()), before);
        assert_close(&values(found), &values(norm_reference(x.clone(), 1e-5)), 2e-5, "strided");
        let part = x.slice([0..2, 1..3]);
        assert_close(&values(norm(part.clone(), 1e-5)), &values(norm_reference(part, 1e-5)), 2e-5, "a part");
    }
}

#[test]
fn gradients_equal_those_of_the_reference() {
    for device in devices() {
        for [rows, width] in SIZES.into_iter().skip(1).take(7) {
            let gradient = |kernel: bool| {
                let x = tensor([rows, width], 3, &device).autodiff().require_grad();
                let y = if kernel { norm(x.clone(), 1e-5) } else { norm_reference(x.clone(), 1e-5) };
                let gradients = (y.clone() * y.tanh()).sum().backward();
                values(x.grad(&gradients).expect("a gradient"))
            };
            assert_close(&gradient(true), &gradient(false), 5e-4, &format!("{rows} {width} on {device:?}"));
        }
    }
}
