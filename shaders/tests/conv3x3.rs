//! conv3x3: the kernel against burn's convolution, and its gradients.

mod common;

use burn::tensor::{Device, Tensor};
use common::{assert_close, devices, tensor, values};
use tessera_shaders::{
    conv3x3, conv3x3_doubled, conv3x3_doubled_reference, conv3x3_halved, conv3x3_halved_reference, conv3x3_reference,
};

/// batch, inputs, outputs, height, width: around a tile (4), sixteen tiles (64) and eight channels; more tiles
/// than channels and fewer.
const SIZES: [[usize; 5]; 14] = [
    [1, 1, 1, 1, 1],
    [1, 2, 1, 1, 2],
    [2, 3, 8, 2, 1],
    [1, 3, 128, 16, 16],
    [1, 128, 3, 9, 9],
    [1, 7, 9, 5, 63],
    [1, 8, 7, 3, 64],
    [2, 2, 5, 4, 65],
    [1, 5, 3, 6, 66],
    [1, 3, 2, 37, 131],
    [3, 32, 33, 17, 13],
    [1, 64, 40, 8, 8],
    [5, 2, 300, 3, 3],
    [1, 2, 4, 64, 128],
];

fn inputs([b, i, o, h, w]: [usize; 5], device: &Device) -> (Tensor<4>, Tensor<4>, Tensor<1>) {
    let scale = 1.0 / (i as f32 * 3.0).sqrt();
    (tensor([b, i, h, w], 1, device), tensor([o, i, 3, 3], 2, device) * scale, tensor([o], 3, device))
}

#[test]
fn kernel_agrees_with_reference_on_odd_sizes() {
    for device in devices() {
        for size in SIZES {
            let (x, weight, bias) = inputs(size, &device);
            let found = conv3x3(x.clone(), weight.clone(), Some(bias.clone()));
            let expected = conv3x3_reference(x.clone(), weight.clone(), Some(bias));
            assert_close(&values(found), &values(expected), 5e-5, &format!("{size:?} on {device:?}"));
            let found = conv3x3_doubled(x.clone(), weight.clone(), None);
            let expected = conv3x3_doubled_reference(x, weight, None);
            assert_close(&values(found), &values(expected), 5e-5, &format!("doubled {size:?} on {device:?}"));
        }
    }
}

#[test]
fn strided_inputs_are_read_right() {
    for device in devices() {
        let x = tensor([2, 9, 12, 5], 4, &device).permute([0, 3, 1, 2]);
        let weight = tensor([5, 6, 3, 3], 5, &device).swap_dims(0, 1);
        let found = conv3x3(x.clone(), weight.clone(), None);
        assert_close(&values(found), &values(conv3x3_reference(x, weight, None)), 5e-5, "strided");
    }
}

#[test]
fn no_pictures_give_no_pictures() {
    let device = Device::flex();
    let y = conv3x3(Tensor::zeros([0, 3, 4, 4], &device), tensor([2, 3, 3, 3], 1, &device), None);
    assert_eq!(y.dims(), [0, 2, 4, 4]);
}

#[test]
fn halvings_agree_with_the_reference() {
    for device in devices() {
        for size in SIZES.into_iter().filter(|&[.., height, width]| height > 1 && width > 1) {
            let (x, weight, bias) = inputs(size, &device);
            let found = conv3x3_halved(x.clone(), weight.clone(), Some(bias.clone()));
            let expected = conv3x3_halved_reference(x, weight, Some(bias));
            assert_eq!(found.dims(), expected.dims());
            assert_close(&values(found), &values(expected), 5e-5, &format!("halved {size:?} on {device:?}"));
        }
    }
}

type Convolution = fn(Tensor<4>, Tensor<4>, Option<Tensor<1>>) -> Tensor<4>;

/// More and fewer channels than a column block (32) and than eight, more and fewer pixels than are gathered at a time (128),
/// more and fewer pictures than parts (4), odd sizes.
const GRADIENT_SIZES: [[usize; 5]; 5] =
    [[2, 5, 7, 6, 9], [1, 3, 8, 2, 2], [3, 40, 16, 13, 12], [6, 33, 9, 5, 7], [1, 2, 3, 24, 25]];

#[test]
fn gradients_equal_those_of_the_reference() {
    let pairs: [(&str, Convolution, Convolution); 3] = [
        ("kept", conv3x3, conv3x3_reference),
        ("doubled", conv3x3_doubled, conv3x3_doubled_reference),
        ("halved", conv3x3_halved, conv3x3_halved_reference),
    ];
    for device in devices() {
        for (size, (name, kernel, reference)) in
            GRADIENT_SIZES.into_iter().flat_map(|size| pairs.map(|pair| (size, pair)))
        {
            let gradients = |run: Convolution| {
                let (x, weight, bias) = inputs(size, &device);
                let (x, weight) = (x.autodiff().require_grad(), weight.autodiff().require_grad());
                let bias = bias.autodiff().require_grad();
                let y = run(x.clone(), weight.clone(), Some(bias.clone()));
                let gradients = (y.clone() * y.tanh()).sum().backward();
                [
                    values(x.grad(&gradients).expect("a gradient")),
                    values(weight.grad(&gradients).expect("a gradient")),
                    values(bias.grad(&gradients).expect("a gradient")),
                ]
            };
            for (found, expected) in gradients(kernel).iter().zip(gradients(reference)) {
                assert_close(found, &expected, 1e-3, &format!("{name} {size:?} on {device:?}"));
            }
        }
    }
}
