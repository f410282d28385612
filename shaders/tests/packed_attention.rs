//! packed_attention: the kernel against burn's attention, and its gradient.

mod common;

use common::{assert_close, devices, tensor, values};
use tessera_shaders::device::largest_buffer;
use tessera_shaders::{packed_attention, packed_attention_in_parts, packed_attention_reference};

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
fn runs_of_queries_and_their_gradients_equal_the_reference() {
    for device in devices() {
        for [batch, length, heads, dim] in SIZES {
            let run = |most: Option<u64>| {
                let qkv = tensor([batch, length, 3 * heads * dim], 3, &device).mul_scalar(2.0);
                let qkv = qkv.autodiff().require_grad();
                let y = match most {
                    Some(most) => packed_attention_in_parts(qkv.clone(), heads, Some(most)),
                    None => packed_attention_reference(qkv.clone(), heads),
                };
                let weights = tensor(y.dims(), 9, &device).autodiff();
                let gradients = (y.clone() * weights).sum().backward();
                (values(y.inner()), values(qkv.grad(&gradients).expect("a gradient")))
            };
            let whole = (4 * batch * heads * length * length) as u64;
            let expected = run(None);
            for most in [1, whole / 2, whole - 1, whole] {
                let found = run(Some(most));
                let what = format!("{:?}, {most} bytes on {device:?}", [batch, length, heads, dim]);
                assert_close(&found.0, &expected.0, 2e-5, &what);
                assert_close(&found.1, &expected.1, 5e-5, &what);
            }
        }
    }
}

/// A matrix of scores that the device would refuse as a whole.
#[test]
fn scores_larger_than_a_buffer_do_not_fail() {
    for device in devices() {
        let Some(most) = largest_buffer(&device).filter(|&most| most < 1 << 29) else { continue };
        // As many heads as it takes.
        let (length, width) = (1024_usize, 1_usize);
        let heads = usize::try_from(most).expect("a small number") / (4 * length * length) + 1;
        let qkv = tensor([1, length, 3 * heads * width], 5, &device);
        let found = values(packed_attention(qkv.clone(), heads));
        let expected = values(packed_attention(qkv.to_device(&burn::tensor::Device::flex()), heads));
        assert_close(&found, &expected, 2e-5, "many heads");
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
