//! triplane_sample: kernels against the reference and a plain loop, forward and backward, on every device.

mod common;

use burn::backend::{Dispatch, DispatchDevice};
use burn::tensor::{Device, Tensor, TensorData};
use common::{assert_close, devices, numbers, tensor, values};
use tessera_shaders::{
    PlaneMerge, TriplaneGeometry, TriplaneSampleOps as _, triplane_sample, triplane_sample_reference,
};

/// batch, points, channels, height, width: around tiles of 16 texels, blocks of 32 channels, rounds of 256 points.
const SIZES: [[usize; 5]; 9] = [
    [1, 1, 1, 1, 1],
    [2, 3, 2, 1, 5],
    [1, 64, 3, 8, 8],
    [2, 255, 31, 15, 7],
    [1, 256, 17, 16, 17],
    [3, 130, 5, 17, 33],
    [1, 700, 32, 16, 16],
    [2, 257, 33, 3, 20],
    [1, 2000, 65, 40, 31],
];

const MERGES: [PlaneMerge; 2] = [PlaneMerge::Concat, PlaneMerge::Sum];

fn inputs([batch, n, channels, height, width]: [usize; 5], device: &Device) -> (Tensor<5>, Tensor<3>) {
    let planes = tensor([batch, 3, channels, height, width], 11, device);
    // A few points lie outside.
    (planes, tensor([batch, n, 3], 12, device).mul_scalar(1.2))
}

#[test]
fn kernels_agree_with_the_reference_forward_and_backward() {
    for device in devices() {
        for size in SIZES {
            for merge in MERGES {
                let run = |sample: fn(Tensor<5>, Tensor<3>, PlaneMerge) -> Tensor<3>| {
                    let (planes, points) = inputs(size, &device);
                    let planes = planes.autodiff().require_grad();
                    let features = sample(planes.clone(), points, merge);
                    let weights = tensor(features.dims(), 13, &device).autodiff();
                    let gradients = (features.clone() * weights).sum().backward();
                    (values(features.inner()), values(planes.grad(&gradients).expect("a gradient")))
                };
                let ((y, grad), (expected, of_reference)) = (run(triplane_sample), run(triplane_sample_reference));
                assert_close(&y, &expected, 1e-5, &format!("{size:?} {merge:?} on {device:?}"));
                let scale = of_reference.iter().fold(1.0_f32, |most, value| most.max(value.abs()));
                let what = format!("gradient of {size:?} {merge:?} on {device:?}");
                assert_close(&grad, &of_reference, 1e-5 * scale, &what);
            }
        }
    }
}

/// A feature by the definition, in f64.
fn by_hand(plane: &[f32], [height, width]: [usize; 2], column: f32, row: f32) -> f64 {
    let place = |g: f32, side: usize| (((f64::from(g) + 1.0) * side as f64 - 1.0) / 2.0).clamp(0.0, side as f64 - 1.0);
    let (u, v) = (place(column, width), place(row, height));
    let mut sum = 0.0;
    for y in 0..height {
        for x in 0..width {
            let weight = (1.0 - (u - x as f64).abs()).max(0.0) * (1.0 - (v - y as f64).abs()).max(0.0);
            sum += weight * f64::from(plane[y * width + x]);
        }
    }
    sum
}

#[test]
fn planes_have_the_axes_and_the_border_that_the_definition_says() {
    let (height, width, channels) = (5, 6, 2);
    let points = [
        [-1.0, -1.0, -1.0],
        [1.0, 1.0, 1.0],
        [0.0, 0.0, 0.0],
        [3.0, -7.0, 0.1],
        [1.0 / 6.0, -0.4, 0.8],
        [-5.0 / 6.0, 0.3, -0.3],
        [0.123, -0.77, 0.52],
    ];
    let flat = numbers(3 * channels * height * width, 5);
    for device in devices() {
        let planes = Tensor::<5>::from_data(TensorData::new(flat.clone(), [1, 3, channels, height, width]), &device);
        let at = TensorData::new(points.concat(), [1, points.len(), 3]);
        let found = values(triplane_sample(planes, Tensor::from_data(at, &device), PlaneMerge::Concat));
        let mut expected = Vec::new();
        for [x, y, z] in points {
            for (plane, [column, row]) in [[x, y], [x, z], [y, z]].into_iter().enumerate() {
                for channel in 0..channels {
                    let plane = &flat[(plane * channels + channel) * height * width..][..height * width];
                    expected.push(by_hand(plane, [height, width], column, row) as f32);
                }
            }
        }
        assert_close(&found, &expected, 1e-5, &format!("{device:?}"));
    }
}

#[test]
fn views_are_read_right_and_no_points_give_no_features() {
    for device in devices() {
        let planes = tensor::<5>([6, 4, 2, 3, 2], 1, &device).permute([2, 3, 1, 0, 4]); // [2, 3, 4, 6, 2]
        let points = tensor::<3>([3, 2, 9], 2, &device).permute([1, 2, 0]); // [2, 9, 3]
        for merge in MERGES {
            let found = values(triplane_sample(planes.clone(), points.clone(), merge));
            let expected = values(triplane_sample_reference(planes.clone(), points.clone(), merge));
            assert_close(&found, &expected, 1e-5, &format!("{merge:?} on {device:?}"));
            let none = triplane_sample(planes.clone(), Tensor::zeros([2, 0, 3], &device), merge);
            assert_eq!(none.dims()[1], 0);
        }
    }
}

#[test]
fn a_gradient_is_the_same_to_the_bit_every_time() {
    for device in devices() {
        let geometry =
            TriplaneGeometry { batch: 1, points: 3000, channels: 5, height: 4, width: 4, merge: PlaneMerge::Concat };
        let points = tensor::<3>([1, 3000, 3], 3, &device);
        let grad = tensor::<3>([1, 3000, 15], 4, &device);
        let run = || -> Vec<u32> {
            let [points, grad] = [points.clone(), grad.clone()].map(Tensor::into_dispatch);
            let gradient = Tensor::<5>::from_dispatch(Dispatch::triplane_sample_gradient(points, grad, geometry));
            values(gradient).into_iter().map(f32::to_bits).collect()
        };
        if matches!(device.as_dispatch(), DispatchDevice::Cube(_) | DispatchDevice::Flex(_)) {
            let first = run();
            assert!((0..3).all(|_| run() == first), "{device:?}");
        }
    }
}

#[test]
fn points_need_no_gradients_where_planes_do() {
    for device in devices() {
        let (planes, points) = inputs([1, 9, 2, 4, 4], &device);
        let plain = values(triplane_sample(planes.clone(), points.clone(), PlaneMerge::Sum));
        let tracked = triplane_sample(planes.clone().autodiff(), points.clone(), PlaneMerge::Sum);
        assert_eq!(plain, values(tracked.inner()));
        let of_points = triplane_sample(planes, points.autodiff().require_grad(), PlaneMerge::Sum);
        assert_eq!(plain, values(of_points));
    }
}
