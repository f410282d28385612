//! Files, devices and numbers of these tests.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use tessera_layers::checkpoint::Weights;
use tessera_layers::perceptual::EfficientNetLite0;
use tessera_shaders::device::DeviceChoice;

pub fn recorded(name: &str) -> Weights {
    Weights::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/perceptual").join(name)).unwrap()
}

pub fn net_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/efficientnet-lite0/model.safetensors")
}

pub fn net(device: &Device) -> EfficientNetLite0 {
    EfficientNetLite0::load(&Weights::open(&net_file()).unwrap(), device).unwrap()
}

/// The CPU, and the GPU (or software adapter) where there is one.
pub fn devices() -> Vec<Device> {
    let mut devices = vec![Device::flex()];
    match DeviceChoice::Gpu(0).open() {
        Ok(gpu) => devices.push(gpu),
        Err(error) if std::env::var("TESSERA_REQUIRE_GPU").is_ok_and(|value| value == "1") => panic!("{error}"),
        Err(error) => eprintln!("SKIPPED on the GPU: {error}"),
    }
    devices
}

/// In -1..1, of the name and the place alone: `tests/data/perceptual/generate.py` computes the same.
pub fn numbers(name: &str, count: usize) -> Vec<f32> {
    let seed = name.bytes().fold(2_166_136_261_u32, |seed, byte| (seed ^ u32::from(byte)).wrapping_mul(16_777_619));
    let number = |index: u32| {
        let mut x = index.wrapping_mul(2_654_435_761).wrapping_add(seed);
        x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
        x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
        x ^= x >> 16;
        (x >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..u32::try_from(count).unwrap()).map(number).collect()
}

/// A noisy picture in 0..=1.
pub fn picture(name: &str, shape: [usize; 4], device: &Device) -> Tensor<4> {
    let values = numbers(name, shape.iter().product());
    Tensor::from_data(TensorData::new(values, shape), device) * 0.5 + 0.5
}

pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

/// Fails unless all differ by at most `tolerance` times the largest expected magnitude.
pub fn assert_close(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    // The largest of the differences, where NaN is the largest of all.
    let error = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).max_by(f32::total_cmp).unwrap_or(0.0);
    println!("{what}: {:e} of the largest", error / largest);
    assert!(error <= tolerance * largest, "{what}: off by {error}, largest {largest}");
}
