//! Gradients of the operations that the networks are made of: the GPU's against the CPU's.

use burn::tensor::{Device, Tensor, TensorData, activation, module};
use tessera_layers::attention::packed_self_attention;
use tessera_shaders::device::DeviceChoice;

type Operation = fn(Tensor<3>) -> Tensor<3>;

const OPERATIONS: [(&str, Operation); 7] = [
    ("gelu", |x| tessera_shaders::gelu(x)),
    ("tanh", |x| x.tanh()),
    ("softmax", |x| activation::softmax(x, 2)),
    ("log_softmax", |x| activation::log_softmax(x, 2)),
    ("layer_norm", |x| {
        let width = x.dims()[2];
        let weight = Tensor::<1>::ones([width], &x.device());
        module::layer_norm(x, weight, None, 1e-5)
    }),
    ("attention", |x| packed_self_attention(x, 3)),
    ("silu", |x| activation::silu(x)),
];

fn numbers(count: usize) -> Vec<f32> {
    let wave = |i: usize, step: f32| (i as f32 * step).sin();
    (0..count).map(|i| 2.0 * wave(i, 0.7) + wave(i, 0.013)).collect()
}

fn gradient(operation: Operation, device: &Device) -> Vec<f32> {
    let shape = [2, 7, 36];
    let x = Tensor::<3>::from_data(TensorData::new(numbers(2 * 7 * 36), shape), device).require_grad();
    let y = operation(x.clone());
    let count = y.dims().iter().product();
    let weights = Tensor::from_data(TensorData::new(numbers(count), y.dims()), device);
    let gradients = (y * weights).sum().backward();
    x.grad(&gradients).unwrap().into_data().iter().collect()
}

#[test]
fn gradients_on_the_gpu_equal_those_on_the_cpu() {
    let gpu = match DeviceChoice::Gpu(0).open() {
        Ok(gpu) => gpu.autodiff(),
        Err(error) if std::env::var("TESSERA_REQUIRE_GPU").is_ok_and(|value| value == "1") => panic!("{error}"),
        Err(error) => return eprintln!("SKIPPED: {error}"),
    };
    let mut wrong = Vec::new();
    for (name, operation) in OPERATIONS {
        let (expected, found) = (gradient(operation, &Device::flex().autodiff()), gradient(operation, &gpu));
        let error = expected.iter().zip(&found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        println!("{name}: {error:e}");
        if error.is_nan() || error > 1e-5 {
            wrong.push((name, error));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
