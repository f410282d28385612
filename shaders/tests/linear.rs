//! linear: the kernel against burn's products, and its gradients.

mod common;

use burn::tensor::DType;
use common::{assert_close, devices, tensor, values};
use tessera_shaders::{linear, linear_reference};

/// rows, inputs, outputs: few rows, around 32 rows, rows behind the blocks, eight outputs, a task of 128 outputs.
const SIZES: [[usize; 3]; 19] = [
    [1, 1, 1],
    [1, 70, 300],
    [2, 65, 131],
    [3, 33, 6],
    [4, 64, 64],
    [7, 40, 129],
    [16, 31, 200],
    [49, 50, 70],
    [12, 1, 1],
    [31, 2, 7],
    [32, 16, 8],
    [33, 17, 9],
    [34, 15, 129],
    [35, 3, 127],
    [67, 97, 31],
    [513, 64, 40],
    [200, 7, 300],
    [65, 600, 16],
    [1025, 300, 24],
];

#[test]
fn kernel_agrees_with_reference_on_odd_sizes() {
    for device in devices() {
        for [rows, inputs, outputs] in SIZES {
            let scale = 1.0 / (inputs as f32).sqrt();
            let x = tensor([1, rows, inputs], 3, &device);
            let bias = tensor([outputs], 5, &device);
            let straight = tensor([inputs, outputs], 4, &device) * scale;
            let turned = (tensor([outputs, inputs], 6, &device) * scale).transpose();
            for (weight, bias) in [(straight.clone(), Some(bias.clone())), (turned, Some(bias)), (straight, None)] {
                let found = linear(x.clone(), weight.clone(), bias.clone());
                let expected = linear_reference(x.clone(), weight, bias);
                let what = format!("{rows} {inputs} {outputs} on {device:?}");
                assert_close(&values(found), &values(expected), 2e-5, &what);
            }
        }
    }
}

#[test]
fn weights_of_half_precision_are_summed_in_full() {
    for device in devices() {
        for [rows, inputs, outputs] in SIZES {
            let x = tensor([1, rows, inputs], 3, &device);
            let bias = Some(tensor([outputs], 5, &device));
            let weight = (tensor([outputs, inputs], 6, &device) / (inputs as f32).sqrt()).cast(DType::F16);
            let wide = weight.clone().cast(DType::F32).transpose();
            let what = format!("{rows} {inputs} {outputs} on {device:?}");
            for bias in [bias, None] {
                let found = linear(x.clone(), weight.clone().transpose(), bias.clone());
                assert_close(&values(found), &values(linear_reference(x.clone(), wide.clone(), bias)), 2e-5, &what);
            }
        }
    }
}

#[test]
fn strided_inputs_are_read_right() {
    for device in devices() {
        let x = tensor([9, 5, 30], 3, &device).permute([2, 1, 0]);
        let weight = tensor([20, 22], 4, &device).slice([3..12, 2..20]);
        let found = linear(x.clone(), weight.clone(), None);
        assert_close(&values(found), &values(linear_reference(x, weight, None)), 2e-5, "strided");
    }
}

#[test]
fn gradients_equal_those_of_the_reference() {
    for device in devices() {
        for [rows, inputs, outputs] in [[12, 3, 2], [33, 17, 9], [70, 40, 50]] {
            for (turned, biased) in [(false, true), (true, true), (true, false)] {
                let gradients = |kernel: bool| {
                    let x = tensor([1, rows, inputs], 3, &device).autodiff().require_grad();
                    let weight = match turned {
                        false => tensor([inputs, outputs], 4, &device),
                        true => tensor([outputs, inputs], 4, &device).transpose(),
                    };
                    let weight = weight.autodiff().require_grad();
                    let bias = tensor([outputs], 5, &device).autodiff().require_grad();
                    let run = if kernel { linear } else { linear_reference };
                    let y = run(x.clone(), weight.clone(), biased.then(|| bias.clone()));
                    let gradients = (y.clone() * y.tanh()).sum().backward();
                    let mut found = vec![
                        values(x.grad(&gradients).expect("a gradient")),
                        values(weight.grad(&gradients).expect("a gradient")),
                    ];
                    if biased {
                        found.push(values(bias.grad(&gradients).expect("a gradient")));
                    }
                    found
                };
                for (found, expected) in gradients(true).iter().zip(gradients(false)) {
                    assert_close(found, &expected, 5e-4, &format!("{rows} {inputs} {outputs} {device:?}"));
                }
            }
        }
    }
}
