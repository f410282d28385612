//! fsq and fsq_codes: kernels against the reference and against each other, at the ends and in large codebooks.

mod common;

use burn::tensor::{Device, Int, Tensor, TensorData};
use common::{assert_close, devices, tensor, values};
use tessera_shaders::{fsq, fsq_bounded, fsq_codes, fsq_codes_reference, fsq_reference};

const LEVELS: [&[u32]; 9] = [
    &[2],
    &[3, 3],
    &[7, 5, 4, 3],
    &[8, 8, 8, 5, 5, 5],
    &[16, 16, 16, 16, 16],
    &[26, 27],
    &[1000, 999, 33],
    &[1000, 1000, 1000],
    &[3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2],
];

fn ids(tensor: Tensor<1, Int>) -> Vec<i64> {
    tensor.into_data().iter::<i64>().collect()
}

fn product(levels: &[u32]) -> i64 {
    levels.iter().map(|&level| i64::from(level)).product()
}

/// Rows whose bounded values are all further from a rounding boundary than the functions of a device may be off.
fn rows(levels: &[u32], count: usize, device: &Device) -> Tensor<2> {
    let z = tensor([4 * count, levels.len()], 7, device).mul_scalar(4.0);
    let bounded = values(fsq_bounded(z.clone(), levels));
    let apart = |value: &f32| (value - value.floor() - 0.5).abs() > 5e-3;
    let far = bounded.chunks(levels.len()).map(|row| row.iter().all(apart));
    let z = values(z);
    let kept = far.zip(z.chunks(levels.len())).filter(|(far, _)| *far).flat_map(|(_, row)| row.to_vec());
    let kept: Vec<f32> = kept.take(count * levels.len()).collect();
    let shape = [kept.len() / levels.len(), levels.len()];
    assert!(shape[0] > 0);
    Tensor::from_data(TensorData::new(kept, shape), device)
}

#[test]
fn kernel_agrees_with_reference() {
    for device in devices() {
        for levels in LEVELS.into_iter().filter(|levels| levels[0] < 1000) {
            for count in [1, 15, 16, 17, 2100] {
                let z = rows(levels, count, &device);
                let (codes, found) = fsq(z.clone(), levels);
                let (expected_codes, expected) = fsq_reference(z, levels);
                assert_eq!(ids(found), ids(expected), "{levels:?} on {device:?}");
                assert_close(&values(codes), &values(expected_codes), 1e-6, &format!("{levels:?} on {device:?}"));
            }
        }
    }
}

#[test]
fn codes_are_those_of_their_indices_bit_for_bit() {
    for device in devices() {
        for levels in LEVELS {
            let z = tensor([333, levels.len()], 9, &device).mul_scalar(3.0);
            let (codes, found) = fsq(z, levels);
            assert!(ids(found.clone()).iter().all(|&id| (0..product(levels)).contains(&id)));
            assert_eq!(values(fsq_codes(found, levels)), values(codes), "{levels:?} on {device:?}");
        }
    }
}

#[test]
fn the_ends_are_the_outermost_levels() {
    for device in devices() {
        for levels in LEVELS {
            for far in [20.0, 1e4, 1e30, f32::INFINITY] {
                let row = |value: f32| Tensor::<2>::full([1, levels.len()], value, &device);
                let (_, found) = fsq(Tensor::cat(vec![row(far), row(-far)], 0), levels);
                assert_eq!(ids(found), [product(levels) - 1, 0], "{levels:?} at {far} on {device:?}");
            }
            let zero = Tensor::<2>::zeros([1, levels.len()], &device);
            let (_, middle) = fsq(zero, levels);
            let steps = levels.iter().scan(1, |step, &level| {
                let this = i64::from(level / 2) * *step;
                *step *= i64::from(level);
                Some(this)
            });
            assert_eq!(ids(middle), [steps.sum::<i64>()], "{levels:?} on {device:?}");
        }
    }
}

#[test]
fn indices_become_codes_as_in_the_reference() {
    for device in devices() {
        for levels in LEVELS {
            let last = product(levels) - 1;
            let some: Vec<i32> = (0..=100).map(|step| (last * step / 100) as i32).collect();
            let some = Tensor::<1, Int>::from_data(TensorData::new(some, [101]), &device);
            let found = values(fsq_codes(some.clone(), levels));
            assert_close(&found, &values(fsq_codes_reference(some, levels)), 1e-6, &format!("{levels:?} {device:?}"));
        }
    }
}

#[test]
fn strided_and_shared_inputs_are_read_right() {
    for device in devices() {
        let levels = [8, 8, 8, 5, 5, 5];
        let z = rows(&levels, 40, &device);
        let turned = z.clone().transpose().mul_scalar(1.0).transpose();
        let before = values(z.clone());
        assert_eq!(ids(fsq(turned, &levels).1), ids(fsq(z.clone(), &levels).1), "{device:?}");
        assert_eq!(values(z), before);
    }
}

#[test]
fn gradients_equal_those_of_the_reference() {
    for device in devices() {
        for levels in LEVELS {
            let gradient = |kernel: bool| {
                let z = tensor([37, levels.len()], 3, &device).mul_scalar(3.0).autodiff().require_grad();
                let run = if kernel { fsq } else { fsq_reference };
                let weight = tensor([37, levels.len()], 4, &device).autodiff();
                let gradients = (run(z.clone(), levels).0 * weight).sum().backward();
                values(z.grad(&gradients).expect("a gradient"))
            };
            assert_close(&gradient(true), &gradient(false), 1e-5, &format!("{levels:?} on {device:?}"));
        }
    }
}

#[test]
fn an_autodiff_device_gives_the_same_codes() {
    for device in devices() {
        let levels = [7, 5, 4, 3];
        let z = rows(&levels, 50, &device);
        let (codes, found) = fsq(z.clone(), &levels);
        let (tracked, same) = fsq(z.autodiff().require_grad(), &levels);
        assert_eq!(ids(found), ids(same.clone()), "{device:?}");
        assert_close(&values(tracked), &values(codes.clone()), 1e-6, "codes");
        assert_close(&values(fsq_codes(same, &levels)), &values(codes), 0.0, "codes of indices");
    }
}
