//! Each kernel beside its reference on the CPU, at the sizes of One-D-Piece-S-256 and of a small training.
//!
//!     cargo bench --no-default-features --bench kernels -- [FILTER]
//!
//! On a machine that others use too, only the ratio of two lines of one run says something.

use burn::tensor::{Device, Distribution, Tensor};
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main, measurement::WallTime};
use tessera_shaders as ops;

fn tensor<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), &Device::flex())
}

/// Times `kernel` and `reference`, each a function of nothing.
fn pair<T>(
    group: &mut BenchmarkGroup<WallTime>,
    size: &str,
    mut kernel: impl FnMut() -> T,
    mut reference: impl FnMut() -> T,
) {
    group.sample_size(10);
    group.bench_function(BenchmarkId::new("kernel", size), |bencher| bencher.iter(&mut kernel));
    group.bench_function(BenchmarkId::new("reference", size), |bencher| bencher.iter(&mut reference));
}

/// The gradient of the sum of squares of what `run` makes of `x`.
fn gradient<const D: usize, const E: usize>(x: &Tensor<D>, run: impl Fn(Tensor<D>) -> Tensor<E>) -> Tensor<D> {
    let x = x.clone().autodiff().require_grad();
    let y = run(x.clone());
    let gradients = (y.clone() * y).sum().backward();
    x.grad(&gradients).expect("a gradient")
}

fn convolutions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("conv3x3");
    for [inputs, outputs, side] in [[128, 128, 256], [256, 256, 64], [512, 512, 16], [128, 3, 256], [3, 128, 256]] {
        let (x, weight) = (tensor([1, inputs, side, side]), tensor([outputs, inputs, 3, 3]));
        pair(
            &mut group,
            &format!("{inputs} to {outputs} at {side}"),
            || ops::conv3x3(x.clone(), weight.clone(), None),
            || ops::conv3x3_reference(x.clone(), weight.clone(), None),
        );
    }
    let (x, weight) = (tensor([1, 128, 128, 128]), tensor([128, 128, 3, 3]));
    pair(
        &mut group,
        "128 to 128 at 128, doubled",
        || ops::conv3x3_doubled(x.clone(), weight.clone(), None),
        || ops::conv3x3_doubled_reference(x.clone(), weight.clone(), None),
    );
    let (x, weight) = (tensor([1, 64, 64, 64]), tensor([64, 64, 3, 3]).autodiff().require_grad());
    pair(
        &mut group,
        "64 to 64 at 64, gradients",
        || gradient(&x, |x| ops::conv3x3(x, weight.clone(), None)),
        || gradient(&x, |x| ops::conv3x3_reference(x, weight.clone(), None)),
    );
}

/// Blocks 1 and 4 of EfficientNet-Lite0 as a perceptual loss sees sixteen pictures of 128x128.
fn inverted_residuals(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("inverted_residual");
    for ([inputs, expanded, outputs, kernel, stride], side) in [([16, 96, 24, 3, 2], 64), ([40, 240, 40, 5, 1], 16)] {
        let block = ops::InvertedResidualGeometry { inputs, expanded, outputs, kernel, stride, expands: true };
        let (x, weights) = (tensor([16, inputs, side, side]), tensor([block.parameters()]));
        let size = format!("{inputs} to {outputs} at {side}");
        let (kernel, reference) = (ops::inverted_residual, ops::inverted_residual_reference);
        pair(
            &mut group,
            &size,
            || kernel(x.clone(), weights.clone(), block),
            || reference(x.clone(), weights.clone(), block),
        );
        let weights = weights.autodiff();
        pair(
            &mut group,
            &format!("{size}, gradients"),
            || gradient(&x, |x| kernel(x, weights.clone(), block)),
            || gradient(&x, |x| reference(x, weights.clone(), block)),
        );
    }
}

fn group_norm(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("group_norm_silu");
    let (x, gamma) = (tensor([1, 128, 256, 256]), tensor([128]));
    pair(
        &mut group,
        "128 at 256",
        || ops::group_norm_silu(x.clone(), gamma.clone(), gamma.clone(), 32, 1e-6, true),
        || ops::group_norm_silu_reference(x.clone(), gamma.clone(), gamma.clone(), 32, 1e-6, true),
    );
}

/// batch, length, width, heads
const TRANSFORMERS: [[usize; 4]; 2] = [[1, 513, 512, 8], [16, 128, 192, 3]];

fn transformer(criterion: &mut Criterion) {
    for [batch, length, width, heads] in TRANSFORMERS {
        let size = format!("{batch}x{length}x{width}");
        let backward = format!("{size}, gradients");
        let (x, hidden) = (tensor([batch, length, width]), tensor([batch, length, 4 * width]));

        let mut group = criterion.benchmark_group("linear");
        let (weight, bias) = (tensor([4 * width, width]).transpose(), tensor([4 * width]));
        pair(
            &mut group,
            &size,
            || ops::linear(x.clone(), weight.clone(), Some(bias.clone())),
            || ops::linear_reference(x.clone(), weight.clone(), Some(bias.clone())),
        );
        let (tracked, tracked_bias) = (weight.autodiff().require_grad(), bias.autodiff().require_grad());
        pair(
            &mut group,
            &backward,
            || gradient(&x, |x| ops::linear(x, tracked.clone(), Some(tracked_bias.clone()))),
            || gradient(&x, |x| ops::linear_reference(x, tracked.clone(), Some(tracked_bias.clone()))),
        );
        group.finish();

        let mut group = criterion.benchmark_group("packed_attention");
        let qkv = tensor([batch, length, 3 * width]);
        pair(
            &mut group,
            &size,
            || ops::packed_attention(qkv.clone(), heads),
            || ops::packed_attention_reference(qkv.clone(), heads),
        );
        pair(
            &mut group,
            &backward,
            || gradient(&qkv, |qkv| ops::packed_attention(qkv, heads)),
            || gradient(&qkv, |qkv| ops::packed_attention_reference(qkv, heads)),
        );
        group.finish();

        let mut group = criterion.benchmark_group("gelu");
        pair(&mut group, &size, || ops::gelu(hidden.clone()), || ops::gelu_reference(hidden.clone()));
        pair(&mut group, &backward, || gradient(&hidden, ops::gelu), || gradient(&hidden, ops::gelu_reference));
        group.finish();

        let mut group = criterion.benchmark_group("layer_norm");
        let gamma = tensor([width]);
        pair(
            &mut group,
            &size,
            || ops::layer_norm(x.clone(), gamma.clone(), gamma.clone(), 1e-5),
            || ops::layer_norm_reference(x.clone(), gamma.clone(), gamma.clone(), 1e-5),
        );
        let tracked = gamma.autodiff().require_grad();
        pair(
            &mut group,
            &backward,
            || gradient(&x, |x| ops::layer_norm(x, tracked.clone(), tracked.clone(), 1e-5)),
            || gradient(&x, |x| ops::layer_norm_reference(x, tracked.clone(), tracked.clone(), 1e-5)),
        );
    }
}

/// The attentions of FlexTok-d12 (256 patches and 256 registers; the decoder sees everything), of the middle of a VAE
/// at 32 by 32, of a step of decoding with a cache, and of a small training.
fn masked_attention(criterion: &mut Criterion) {
    use ops::AttentionMask::{Causal, Full, Registers};
    let mut group = criterion.benchmark_group("masked_attention");
    for ([batch, queries, keys, width, heads], mask, name) in [
        ([2, 512, 512, 768, 12], Registers { patches: 256 }, "registers"),
        ([2, 512, 512, 768, 12], Full, "full"),
        ([2, 512, 512, 768, 12], Causal, "causal"),
        ([1, 1024, 1024, 512, 1], Full, "full"),
        ([2, 1, 512, 768, 12], Causal, "causal"),
    ] {
        let [q, k, v] = [queries, keys, keys].map(|length| tensor([batch, length, width]));
        let scale = ((width / heads) as f32).powf(-0.5);
        pair(
            &mut group,
            &format!("{batch}x{queries}x{width}, {name}"),
            || ops::masked_attention(q.clone(), k.clone(), v.clone(), heads, scale, mask),
            || ops::masked_attention_reference(q.clone(), k.clone(), v.clone(), heads, scale, mask),
        );
    }
    for ([batch, length, width, heads], mask) in
        [([16, 128, 192, 3], Registers { patches: 64 }), ([1, 1024, 512, 1], Full)]
    {
        let x = tensor([batch, length, width]);
        let scale = ((width / heads) as f32).powf(-0.5);
        pair(
            &mut group,
            &format!("{batch}x{length}x{width}, gradients"),
            || gradient(&x, |x| ops::masked_attention(x.clone(), x.clone(), x, heads, scale, mask)),
            || gradient(&x, |x| ops::masked_attention_reference(x.clone(), x.clone(), x, heads, scale, mask)),
        );
    }
}

fn codes_and_patches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("nearest_code");
    let (latents, codebook) = (tensor([256, 12]), tensor([4096, 12]));
    pair(
        &mut group,
        "256 among 4096",
        || ops::nearest_code(latents.clone(), codebook.clone()),
        || ops::nearest_code_reference(latents.clone(), codebook.clone()),
    );
    group.finish();
    let mut group = criterion.benchmark_group("patchify");
    let picture = tensor([8, 3, 256, 256]);
    pair(
        &mut group,
        "8 pictures",
        || ops::patchify(picture.clone(), 16, ops::PatchOrder::ChannelsFirst),
        || ops::patchify_reference(picture.clone(), 16, ops::PatchOrder::ChannelsFirst),
    );
}

criterion_group!(
    kernels,
    convolutions,
    inverted_residuals,
    group_norm,
    transformer,
    masked_attention,
    codes_and_patches
);
criterion_main!(kernels);
