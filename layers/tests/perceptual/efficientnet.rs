//! EfficientNet-Lite0 and effd on real weights.

use burn::tensor::{Device, Tensor, TensorData};
use tessera_layers::checkpoint::{CheckpointError, Weights};
use tessera_layers::perceptual::{Effd, EfficientNetLite0};

use super::support::{assert_close, devices, net, net_file, numbers, picture, recorded, values};

fn image(name: &str, device: &Device) -> Tensor<4> {
    let weights = recorded("efficientnet_lite0.safetensors");
    let entry = weights.entries().into_iter().find(|entry| entry.name == name).unwrap();
    let shape: [usize; 4] = entry.shape.try_into().unwrap();
    let bytes: Vec<f32> = weights.read_i64(name).unwrap().into_iter().map(|byte| byte as f32 / 255.0).collect();
    Tensor::from_data(TensorData::new(bytes, shape), device)
}

fn expected(name: &str) -> Vec<f32> {
    recorded("efficientnet_lite0.safetensors").read_f32(name).unwrap()
}

#[test]
fn activations_are_those_recorded() {
    for device in devices() {
        let net = net(&device);
        let check = |found: Vec<f32>, name: &str| {
            assert_close(&found, &expected(name), 1e-3, &format!("{name} on {device:?}"));
        };
        let a = image("image_a", &device);
        let maps = net.features(a.clone(), &[15, 0, 2, 4, 10]);
        let names = ["a.block15", "a.block0.mean_over_hw", "a.block2", "a.block4", "a.block10"];
        for (map, name) in maps.into_iter().zip(names) {
            let map = if name.ends_with("hw") { map.mean_dim(3).mean_dim(2) } else { map };
            check(values(map), name);
        }
        check(values(net.pooled(a.clone())), "a.pooled");
        check(values(net.logits(a)), "a.logits");
        let odd = image("odd_image", &device);
        check(values(net.features(odd.clone(), &[4]).remove(0)), "odd.block4");
        check(values(net.pooled(odd)), "odd.pooled");
    }
}

#[test]
fn distances_are_those_recorded() {
    for device in devices() {
        let effd = Effd::new(net(&device));
        let (a, b) = (image("image_a", &device), image("image_b", &device));
        let pairs = [Tensor::cat(vec![a.clone(), b.clone(), a.clone()], 0), Tensor::cat(vec![b, a.clone(), a], 0)];
        let [first, second] = pairs;
        let taps = values(effd.per_tap(first.clone(), second.clone()));
        assert_close(&taps[..5], &expected("distance_per_tap"), 1e-3, "distance_per_tap");
        assert_close(&taps[5..10], &expected("distance_per_tap"), 1e-3, "the other way round");
        let distances = values(effd.distance(first, second));
        assert_close(&distances[..1], &expected("distance"), 1e-3, "distance");
        assert!((distances[0] - 0.43729).abs() < 1e-4 && distances[2] == 0.0, "{distances:?}");
    }
}

#[test]
fn features_follow_the_order_asked_for_and_none_are_none() {
    let net = net(&Device::flex());
    let x = picture("x", [1, 3, 20, 31], &Device::flex());
    assert!(net.features(x.clone(), &[]).is_empty());
    let dims: Vec<_> = net.features(x, &[3, 0, 3]).iter().map(Tensor::dims).collect();
    assert_eq!(dims, [[1, 40, 3, 4], [1, 16, 10, 16], [1, 40, 3, 4]]);
}

/// The loss of pictures that are enlarged first: its slope along a direction against finite differences.
#[test]
fn gradients_equal_finite_differences() {
    for (side, steps) in [(24, [24, 24]), (70, [70, 66])] {
        let device = Device::flex();
        let effd = Effd::training_deep(net(&device));
        let shape = [2, 3, steps[0], steps[1]];
        let (x, target) = (picture("x", shape, &device), picture("target", shape, &device));
        let leaf = x.clone().autodiff().require_grad();
        let gradients = effd.loss(leaf.clone(), target.clone().autodiff()).sum().backward();
        let gradient = values(leaf.grad(&gradients).unwrap());
        // Along the gradient itself the slope is its length, large against the rounding of the loss.
        let length = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        let direction: Vec<f32> = gradient.iter().map(|g| (f64::from(*g) / length) as f32).collect();
        let direction = Tensor::from_data(TensorData::new(direction, shape), &device);
        let at = |step: f32| -> f64 {
            let moved = x.clone() + direction.clone() * step;
            values(effd.loss(moved, target.clone())).into_iter().map(f64::from).sum()
        };
        let step = 0.02;
        let slope = (at(step) - at(-step)) / (2.0 * f64::from(step));
        assert!((slope / length - 1.0).abs() < 0.02, "side {side}: slope {slope}, gradient {length}");
    }
}

#[test]
fn gradients_on_the_gpu_equal_those_on_the_cpu() {
    let gradient = |device: &Device| {
        let effd = Effd::training(net(device));
        let shape = [1, 3, 20, 28];
        let x = picture("x", shape, device).autodiff().require_grad();
        let target = picture("target", shape, device);
        let gradients = effd.loss(x.clone(), target).sum().backward();
        values(x.grad(&gradients).unwrap())
    };
    let mut all: Vec<_> = devices().iter().map(gradient).collect();
    let cpu = all.remove(0);
    for gpu in all {
        assert_close(&gpu, &cpu, 1e-3, "gradient on the GPU");
    }
}

/// Equal pictures have a distance of zero and a gradient of zeros, not of NaN.
#[test]
fn equal_pictures_have_no_gradient() {
    let device = Device::flex();
    let flat = Tensor::<4>::full([1, 3, 32, 32], 0.25, &device);
    let x = flat.clone().autodiff().require_grad();
    let loss = Effd::training(net(&device)).loss(x.clone(), flat);
    let gradient = values(x.grad(&loss.clone().sum().backward()).unwrap());
    assert_eq!(values(loss.inner()), [0.0]);
    assert!(gradient.iter().all(|&g| g == 0.0));
}

#[test]
fn another_file_is_refused() {
    let device = Device::flex();
    let folder = tempfile::tempdir().unwrap();
    let mut tensors = Vec::new();
    let weights = Weights::open(&net_file()).unwrap();
    for entry in weights.entries() {
        let count = entry.shape.iter().product();
        let values = numbers(&entry.name, count);
        tensors.push(tessera_layers::checkpoint::NamedTensor { name: entry.name, shape: entry.shape, values });
    }
    tensors.pop();
    let path = folder.path().join("short.safetensors");
    let precision = tessera_layers::checkpoint::Precision::F16;
    tessera_layers::checkpoint::write_safetensors(&path, &tensors, precision, Default::default()).unwrap();
    let error = EfficientNetLite0::load(&Weights::open(&path).unwrap(), &device).unwrap_err();
    assert!(matches!(&error, CheckpointError::Mismatch { .. }), "{error}");
    assert!(error.to_string().contains("\"stem.weight\""), "{error}");
}
