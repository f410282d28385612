//! inverted_residual: the kernel against burn's convolutions, and its gradient.

mod common;

use burn::tensor::{Device, Tensor};
use common::{assert_close, devices, tensor, values};
use tessera_shaders::{InvertedResidualGeometry, inverted_residual, inverted_residual_reference};

/// batch, inputs, expanded (0: none), outputs, kernel, stride, height, width: channels around eight, pixels around 32,
/// sides that a stride divides and others, pictures smaller than the kernel.
const SIZES: [[usize; 8]; 14] = [
    [1, 1, 0, 1, 3, 1, 1, 1],
    [2, 3, 9, 3, 3, 1, 4, 8],
    [3, 16, 24, 5, 3, 2, 8, 8],
    [2, 8, 0, 8, 5, 1, 6, 6],
    [1, 8, 16, 8, 5, 1, 33, 65],
    [2, 4, 10, 9, 5, 2, 7, 10],
    [1, 5, 7, 4, 3, 2, 9, 13],
    [1, 2, 8, 2, 5, 2, 1, 2],
    [2, 3, 0, 4, 3, 2, 32, 31],
    [1, 4, 6, 4, 1, 1, 5, 7],
    [1, 3, 4, 2, 2, 2, 6, 9],
    [1, 3, 4, 3, 2, 1, 6, 9],
    [1, 3, 8, 3, 7, 3, 17, 11],
    [2, 24, 144, 24, 3, 1, 16, 16],
];

fn block([_, inputs, expanded, outputs, kernel, stride, ..]: [usize; 8]) -> InvertedResidualGeometry {
    let expands = expanded > 0;
    let expanded = if expands { expanded } else { inputs };
    InvertedResidualGeometry { inputs, expanded, outputs, kernel, stride, expands }
}

/// Weights so large that ReLU6 cuts at both ends.
fn inputs(size: [usize; 8], device: &Device) -> (Tensor<4>, Tensor<1>, InvertedResidualGeometry) {
    let [b, i, .., h, w] = size;
    let geometry = block(size);
    (tensor([b, i, h, w], 1, device) * 4.0, tensor([geometry.parameters()], 2, device), geometry)
}

#[test]
fn kernel_agrees_with_reference_on_odd_sizes() {
    for device in devices() {
        for size in SIZES {
            let (x, parameters, geometry) = inputs(size, &device);
            let found = inverted_residual(x.clone(), parameters.clone(), geometry);
            let expected = inverted_residual_reference(x, parameters, geometry);
            assert_eq!(found.dims(), expected.dims(), "{size:?}");
            assert_eq!(found.dims()[2..], geometry.output_size([size[6], size[7]]), "{size:?}");
            assert_close(&values(found), &values(expected), 2e-4, &format!("{size:?} on {device:?}"));
        }
    }
}

#[test]
fn no_pictures_and_strided_pictures_are_read_right() {
    let device = Device::flex();
    let (x, parameters, geometry) = inputs([2, 3, 9, 4, 3, 1, 6, 5], &device);
    let turned = x.swap_dims(2, 3);
    let found = inverted_residual(turned.clone(), parameters.clone(), geometry);
    let expected = inverted_residual_reference(turned, parameters.clone(), geometry);
    assert_close(&values(found), &values(expected), 2e-4, "strided");
    let nothing = inverted_residual(Tensor::zeros([0, 3, 6, 5], &device), parameters, geometry);
    assert_eq!(nothing.dims(), [0, 4, 6, 5]);
}

#[test]
fn gradients_equal_those_of_the_reference() {
    for device in devices() {
        for size in SIZES {
            let gradient = |kernel: bool| {
                let (x, parameters, geometry) = inputs(size, &device);
                let (x, parameters) = (x.autodiff().require_grad(), parameters.autodiff());
                let run = if kernel { inverted_residual } else { inverted_residual_reference };
                let y = run(x.clone(), parameters, geometry);
                let gradients = (y.clone() * (y * 0.1).tanh()).sum().backward();
                values(x.grad(&gradients).expect("a gradient"))
            };
            let expected = gradient(false);
            let scale = expected.iter().fold(1.0_f32, |most, value| most.max(value.abs()));
            assert_close(&gradient(true), &expected, 1e-4 * scale, &format!("{size:?} on {device:?}"));
        }
    }
}
