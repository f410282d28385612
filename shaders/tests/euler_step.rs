//! euler_step: kernels against the reference.

mod common;

use burn::tensor::{Device, Tensor};
use common::{assert_close, devices, tensor, values};
use tessera_shaders::{EulerStep, Projection, euler_step, euler_step_reference};

const SHAPES: [[usize; 4]; 5] = [[1, 1, 1, 1], [2, 3, 5, 7], [3, 4, 8, 8], [2, 16, 32, 32], [1, 5, 33, 31]];

fn steps() -> Vec<EulerStep> {
    let of = |projection| EulerStep { dt: 0.04, guidance: 7.5, projection };
    let projected = |eta, momentum, norm_threshold| of(Some(Projection { eta, momentum, norm_threshold }));
    vec![
        of(None),
        of(Some(Projection::default())),
        projected(0.0, -0.5, 0.0),
        projected(0.5, 0.0, 0.0),
        projected(1.0, 0.3, 1e6),
        projected(0.25, -0.75, 1e-3),
    ]
}

type Step =
    fn(Tensor<4>, Tensor<4>, Option<Tensor<4>>, Option<Tensor<4>>, &EulerStep) -> (Tensor<4>, Option<Tensor<4>>);

fn check(x: &Tensor<4>, cond: &Tensor<4>, uncond: Option<&Tensor<4>>, step: &EulerStep, what: &str) {
    // Three steps, each with the running difference of the one before.
    let mut states = [euler_step as Step, euler_step_reference].map(|run| (run, x.clone(), None));
    for round in 0..3 {
        let scale = 1.0 + round as f32;
        for (run, x, running) in &mut states {
            let (cond, uncond) = (cond.clone().mul_scalar(scale), uncond.cloned());
            (*x, *running) = run(x.clone(), cond, uncond, running.take(), step);
        }
        let [(_, x, running), (_, expected, expected_running)] = &states;
        assert_close(&values(x.clone()), &values(expected.clone()), 1e-5, what);
        assert_eq!(running.is_some(), expected_running.is_some(), "{what}");
        if let (Some(running), Some(expected)) = (running, expected_running) {
            assert_close(&values(running.clone()), &values(expected.clone()), 1e-5, what);
        }
    }
}

fn every_step(device: &Device, shape: [usize; 4], difference: f32, of_cond: f32) {
    let [x, cond, noise] = [1, 2, 3].map(|seed| tensor(shape, seed, device));
    let cond = cond.mul_scalar(of_cond);
    let uncond = cond.clone() + noise.mul_scalar(difference);
    for step in steps() {
        let what = format!("{shape:?} {step:?} on {device:?}");
        check(&x, &cond, Some(&uncond), &step, &what);
        check(&x, &cond, None, &step, &what);
    }
}

#[test]
fn kernel_agrees_with_reference_on_odd_sizes() {
    for device in devices() {
        for shape in SHAPES {
            every_step(&device, shape, 0.7, 1.0);
        }
    }
}

#[test]
fn a_zero_difference_and_a_zero_velocity_are_no_trouble() {
    for device in devices() {
        for (difference, of_cond) in [(0.0, 1.0), (0.5, 0.0), (0.0, 0.0)] {
            every_step(&device, [2, 3, 5, 7], difference, of_cond);
        }
    }
}

#[test]
fn strided_and_shared_inputs_are_read_right() {
    for device in devices() {
        let turned = |seed| tensor([2, 5, 7, 3], seed, &device).permute([0, 3, 1, 2]);
        let [x, cond, uncond, running] = [1, 2, 3, 4].map(turned);
        let before = values(x.clone());
        for step in steps() {
            let run = |run: Step| run(x.clone(), cond.clone(), Some(uncond.clone()), Some(running.clone()), &step);
            let ((found, _), (expected, _)) = (run(euler_step), run(euler_step_reference));
            assert_close(&values(found), &values(expected), 1e-5, &format!("{step:?} on {device:?}"));
        }
        assert_eq!(values(x), before);
    }
}

#[test]
fn an_autodiff_device_takes_the_differentiable_reference() {
    for device in devices() {
        let x = tensor([1, 2, 3, 3], 1, &device).autodiff().require_grad();
        let [cond, uncond] = [2, 3].map(|seed| tensor([1, 2, 3, 3], seed, &device).autodiff());
        let (next, _) = euler_step(x.clone(), cond, Some(uncond), None, &steps()[1]);
        assert_close(&values(x.grad(&next.sum().backward()).expect("a gradient")), &[1.0; 18], 1e-6, "gradient");
    }
}
