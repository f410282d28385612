//! packed_attention: the kernel against burn's attention, and its gradient.

mod common;

use common::{assert_close, devices, tensor, values};
use tessera_shaders::{packed_attention, packed_attention_reference};

/// batch, length, heads, channels of a head: around eight keys, 32 queries and 32 channels.
const SIZES: [[usize; 4]; 9] = [
    [1, 1, 1, 1],
    [1, 2, 3, 2],
    [2, 7, 2, 8],
    [1, 8, 1, 9],
    [2, 31, 2, 16],
    [1, 32, 3, 33],
    [1, 33, 2, 31],
    [1, 67, 2, 64],
    [3, 130, 1, 5],
];

#[test]
fn kernel_agrees_with_reference_on_odd_sizes() {
    for device in devices() {
        for [batch, length, heads, dim] in SIZES {
            let qkv = tensor([batch, length, 3 * heads * dim], 3, &device).mul_scalar(2.0);
            let found = packed_attention(qkv.clone(), heads);
            assert_eq!(found.dims(), [batch, length, heads * dim]);
            let expected = packed_attention_reference(qkv, heads);
            let what = format!("{:?} on {device:?}", [batch, length, heads, dim]);
            assert_close(&values(found), &values(expected), 2e-5, &what);
        }
    }
}

#[test]
fn strided_inputs_are_read_right() {
    for device in devices() {
        let qkv = tensor([24, 2, 11], 3, &device).permute([1, 2, 0]);
        let found = packed_attention(qkv.clone(), 2);
        assert_close(&values(found), &values(packed_attention_reference(qkv, 2)), 2e-5, "strided");
    }
}

#[test]
fn large_scores_do_not_overflow() {
    for device in devices() {
        let qkv = tensor([1, 40, 3 * 16], 3, &device).mul_scalar(60.0);
        let found = values(packed_attention(qkv, 1));
        assert!(found.iter().all(|value| value.is_finite()));
    }
}

#[test]
fn gradients_equal_those_of_the_reference() {
    for device in devices() {
        for [batch, length, heads, dim] in SIZES {
            let gradient = |kernel: bool| {
                let qkv = tensor([batch, length, 3 * heads * dim], 3, &device);
                let qkv = qkv.mul_scalar(2.0).autodiff().require_grad();
                let run = if kernel { packed_attention } else { packed_attention_reference };
                let y = run(qkv.clone(), heads);
                let gradients = (y.clone() * y.tanh()).sum().backward();
                values(qkv.grad(&gradients).expect("a gradient"))
            };
            let what = format!("{:?} on {device:?}", [batch, length, heads, dim]);
            assert_close(&gradient(true), &gradient(false), 1e-4, &what);
        }
    }
}
