//! LPIPS, Inception and resizing against PyTorch, on weights that a formula gives both.

use std::path::Path;

use burn::tensor::Device;
use tessera_layers::checkpoint::{CheckpointError, NamedTensor, Precision, TensorEntry, Weights, write_safetensors};
use tessera_layers::perceptual::{Backbone, Inception, Lpips, Resampling, resize};

use super::support::{assert_close, devices, numbers, picture, recorded, values};

/// The values that `generate.py` gives a tensor of this name and shape.
fn twin(name: &str, shape: &[usize]) -> NamedTensor {
    let inputs: usize = shape.iter().skip(1).product();
    let scale = (6.0_f32 / inputs as f32).sqrt();
    let value = |u: f32| match name {
        _ if name.ends_with("running_var") => 1.0 + 0.5 * u,
        _ if name.ends_with("bn.weight") => 1.0 + 0.2 * u,
        _ if name.starts_with("lin") => u.abs(),
        _ if shape.len() == 1 => 0.1 * u,
        _ => u * scale,
    };
    let values = numbers(name, shape.iter().product()).into_iter().map(value).collect();
    NamedTensor { name: name.to_owned(), shape: shape.to_vec(), values }
}

fn conv(name: &str, [outputs, inputs]: [usize; 2], kernel: [usize; 2]) -> [NamedTensor; 2] {
    let weight = twin(&format!("{name}.weight"), &[outputs, inputs, kernel[0], kernel[1]]);
    [weight, twin(&format!("{name}.bias"), &[outputs])]
}

fn write(folder: &Path, name: &str, tensors: &[NamedTensor]) -> Weights {
    let path = folder.join(name);
    write_safetensors(&path, tensors, Precision::F32, Default::default()).unwrap();
    Weights::open(&path).unwrap()
}

fn backbone(backbone: Backbone) -> Vec<NamedTensor> {
    let mut tensors = Vec::new();
    let mut inputs = 3;
    let mut place = |place: usize, outputs: usize, side: usize| {
        tensors.extend(conv(&format!("features.{place}"), [outputs, inputs], [side, side]));
        inputs = outputs;
    };
    match backbone {
        Backbone::AlexNet => {
            for (at, outputs, side) in [(0, 64, 11), (3, 192, 5), (6, 384, 3), (8, 256, 3), (10, 256, 3)] {
                place(at, outputs, side);
            }
        }
        Backbone::Vgg16 => {
            let places = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28];
            let outputs = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512];
            places.into_iter().zip(outputs).for_each(|(at, outputs)| place(at, outputs, 3));
        }
        Backbone::SqueezeNet => {
            place(0, 64, 3);
            let fires = [(3, 16, 64), (4, 16, 64), (6, 32, 128), (7, 32, 128), (9, 48, 192), (10, 48, 192)];
            let mut inputs = 64;
            for (at, squeezed, outputs) in fires.into_iter().chain([(11, 64, 256), (12, 64, 256)]) {
                let name = |part: &str| format!("features.{at}.{part}");
                tensors.extend(conv(&name("squeeze"), [squeezed, inputs], [1, 1]));
                tensors.extend(conv(&name("expand1x1"), [outputs, squeezed], [1, 1]));
                tensors.extend(conv(&name("expand3x3"), [outputs, squeezed], [3, 3]));
                inputs = 2 * outputs;
            }
        }
    }
    // The released file holds a classifier too.
    tensors.extend(backbone.surplus().iter().map(|name| twin(name, &[3])));
    tensors
}

fn heads(backbone: Backbone) -> Vec<NamedTensor> {
    let head = |(index, &channels): (usize, &usize)| twin(&format!("lin{index}.model.1.weight"), &[1, channels, 1, 1]);
    backbone.channels().iter().enumerate().map(head).collect()
}

#[test]
fn lpips_equals_its_twin_with_every_backbone() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        (Backbone::AlexNet, "lpips.alexnet"),
        (Backbone::Vgg16, "lpips.vgg16"),
        (Backbone::SqueezeNet, "lpips.squeezenet"),
    ];
    for device in devices() {
        for (which, name) in cases {
            let features = write(folder.path(), "features.safetensors", &backbone(which));
            let heads = write(folder.path(), "heads.safetensors", &heads(which));
            let lpips = Lpips::load(which, &features, &heads, &device).unwrap();
            let [a, b] = ["a", "b"].map(|name| picture(name, [2, 3, 67, 75], &device));
            let distances = values(lpips.distance(a.clone(), b.clone()));
            let expected = recorded("twins.safetensors").read_f32(name).unwrap();
            assert_close(&distances, &expected, 1e-4, &format!("{name} on {device:?}"));
            assert!(values(lpips.distance(a.clone(), a)).iter().all(|distance| distance.abs() < 1e-12));
        }
    }
}

#[test]
fn lpips_has_a_gradient_even_where_nothing_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::flex();
    let features = write(folder.path(), "features.safetensors", &backbone(Backbone::AlexNet));
    let heads = write(folder.path(), "heads.safetensors", &heads(Backbone::AlexNet));
    let lpips = Lpips::load(Backbone::AlexNet, &features, &heads, &device).unwrap();
    let x = picture("x", [1, 3, 40, 40], &device).autodiff().require_grad();
    let target = picture("y", [1, 3, 40, 40], &device).autodiff();
    let gradients = lpips.distance(x.clone(), target).sum().backward();
    let gradient = values(x.grad(&gradients).unwrap());
    assert!(gradient.iter().all(|g| g.is_finite()) && gradient.iter().any(|&g| g != 0.0));
}

#[test]
fn files_of_another_network_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::flex();
    let alexnet = write(folder.path(), "alexnet.safetensors", &backbone(Backbone::AlexNet));
    let heads = write(folder.path(), "heads.safetensors", &heads(Backbone::AlexNet));
    for (which, features, heads) in [
        (Backbone::Vgg16, &alexnet, &heads),
        (Backbone::AlexNet, &heads, &heads),
        (Backbone::AlexNet, &alexnet, &alexnet),
    ] {
        let error = Lpips::load(which, features, heads, &device).unwrap_err();
        assert!(matches!(error, CheckpointError::Mismatch { .. }), "{error}");
    }
    let error = Inception::load(&alexnet, &device).unwrap_err();
    assert!(error.to_string().contains("Conv2d_1a_3x3.bn.bias"), "{error}");
}

/// The tensors of the released Inception file; their names come from the loader, and `generate.py` spells them itself.
fn inception() -> Vec<NamedTensor> {
    let mut tensors = Vec::new();
    for TensorEntry { name, shape } in Inception::tensors().unwrap() {
        if let Some(prefix) = name.strip_suffix(".bn.weight") {
            tensors.push(twin(&format!("{prefix}.bn.num_batches_tracked"), &[1]));
        }
        tensors.push(twin(&name, &shape));
    }
    for name in ["fc.weight", "fc.bias", "AuxLogits.fc.weight", "AuxLogits.conv1.bn.running_mean"] {
        tensors.push(twin(name, &[2]));
    }
    tensors
}

#[test]
fn inception_equals_its_twin() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::flex();
    let mut tensors = inception();
    let net = Inception::load(&write(folder.path(), "inception.safetensors", &tensors), &device).unwrap();
    let found = values(net.features(picture("c", [2, 3, 50, 60], &device)));
    let expected = recorded("twins.safetensors").read_f32("inception").unwrap();
    assert_close(&found, &expected, 1e-3, "inception");
    tensors.push(twin("Mixed_8a.conv.weight", &[1]));
    let error = Inception::load(&write(folder.path(), "more.safetensors", &tensors), &device).unwrap_err();
    assert!(error.to_string().contains("\"Mixed_8a.conv.weight\""), "{error}");
}

#[test]
fn resizing_equals_that_of_pytorch() {
    for device in devices() {
        let x = picture("small", [1, 2, 7, 10], &device);
        for (name, size, resampling) in [
            ("bilinear.up", [16, 13], Resampling::Bilinear),
            ("bilinear.down", [4, 6], Resampling::Bilinear),
            ("bicubic.up", [16, 13], Resampling::Bicubic),
            ("bicubic.down", [3, 4], Resampling::Bicubic),
        ] {
            let expected = recorded("twins.safetensors").read_f32(name).unwrap();
            assert_close(&values(resize(x.clone(), size, resampling)), &expected, 1e-5, name);
        }
        let leaf = x.autodiff().require_grad();
        let up = resize(leaf.clone(), [14, 20], Resampling::Bilinear);
        let gradient = values(leaf.grad(&up.sum().backward()).unwrap());
        // Every output's weights sum to one, and enlarging spreads each input over four outputs, less at the border.
        assert!((gradient.iter().sum::<f32>() - 2.0 * 14.0 * 20.0).abs() < 1e-2);
    }
}
