//! Devices and numbers that the kernel tests share.
#![allow(dead_code, reason = "each test file uses its own part")]

use burn::tensor::{Device, Tensor, TensorData};
use tessera_shaders::device::DeviceChoice;

/// The CPU, and the GPU (or software adapter) where there is one. With `TESSERA_REQUIRE_GPU=1` a missing
/// adapter is a failure.
pub fn devices() -> Vec<Device> {
    let mut devices = vec![Device::flex()];
    match DeviceChoice::Gpu(0).open() {
        Ok(gpu) => devices.push(gpu),
        Err(error) if std::env::var("TESSERA_REQUIRE_GPU").is_ok_and(|value| value == "1") => {
            panic!("TESSERA_REQUIRE_GPU=1, but {error}")
        }
        Err(error) => eprintln!("SKIPPED on the GPU: {error}"),
    }
    devices
}

/// Numbers in -1..1 that depend on `seed` alone (a 64-bit linear congruential generator, upper bits).
pub fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

/// A tensor of such numbers.
pub fn tensor<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(numbers(shape.iter().product(), seed), shape), device)
}

/// The tensor's f32 values.
pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("an f32 tensor")
}

/// Fails with the first place where the two differ by more than `tolerance`.
pub fn assert_close(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}: lengths differ");
    for (index, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= tolerance, "{what}: at {index} found {a}, expected {b}");
    }
}
