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

/// The norm that opens every convolution of a picture autoencoder, and its gradients in training.
fn group_norm_gradients(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("group_norm_silu");
    for ([batch, channels, side], silu) in [([4, 64, 64], true), ([4, 128, 32], true), ([4, 128, 32], false)] {
        let (x, gamma) = (tensor([batch, channels, side, side]), tensor([channels]).autodiff().require_grad());
        pair(
            &mut group,
            &format!("{batch}x{channels} at {side}, silu {silu}, gradients"),
            || gradient(&x, |x| ops::group_norm_silu(x, gamma.clone(), gamma.clone(), 32, 1e-6, silu)),
            || gradient(&x, |x| ops::group_norm_silu_reference(x, gamma.clone(), gamma.clone(), 32, 1e-6, silu)),
        );
    }
}

/// batch, length, width, and positions of the first kind: FlexTok's decoder, and a small training.
const ADAPTIVE: [[usize; 4]; 2] = [[2, 512, 768, 256], [16, 128, 192, 64]];

fn adaptive(criterion: &mut Criterion) {
    for [batch, length, width, first] in ADAPTIVE {
        let size = format!("{batch}x{length}x{width}");
        let backward = format!("{size}, gradients");
        let [x, y] = [0, 1].map(|_| tensor::<3>([batch, length, width]));
        let by = tensor([batch, 2, width]);
        let tracked = by.clone().autodiff().require_grad();
        let tracked_y = y.clone().autodiff().require_grad();

        let mut group = criterion.benchmark_group("modulated_norm");
        let (kernel, reference) = (ops::modulated_norm, ops::modulated_norm_reference);
        pair(
            &mut group,
            &size,
            || kernel(x.clone(), by.clone(), by.clone(), first, 1e-6),
            || reference(x.clone(), by.clone(), by.clone(), first, 1e-6),
        );
        pair(
            &mut group,
            &backward,
            || gradient(&x, |x| kernel(x, tracked.clone(), tracked.clone(), first, 1e-6)),
            || gradient(&x, |x| reference(x, tracked.clone(), tracked.clone(), first, 1e-6)),
        );
        group.finish();

        let mut group = criterion.benchmark_group("gated_add");
        let (kernel, reference) = (ops::gated_add, ops::gated_add_reference);
        pair(
            &mut group,
            &size,
            || kernel(x.clone(), y.clone(), by.clone(), first),
            || reference(x.clone(), y.clone(), by.clone(), first),
        );
        pair(
            &mut group,
            &backward,
            || gradient(&x, |x| kernel(x, tracked_y.clone(), tracked.clone(), first)),
            || gradient(&x, |x| reference(x, tracked_y.clone(), tracked.clone(), first)),
        );
        group.finish();

        let mut group = criterion.benchmark_group("norm");
        let heads = x.clone().reshape([batch, length, width / 64, 64]);
        pair(&mut group, &size, || ops::norm(x.clone(), 1e-6), || ops::norm_reference(x.clone(), 1e-6));
        let of_heads = format!("{size}, heads of 64");
        pair(&mut group, &of_heads, || ops::norm(heads.clone(), 1e-6), || ops::norm_reference(heads.clone(), 1e-6));
        pair(
            &mut group,
            &format!("{of_heads}, gradients"),
            || gradient(&heads, |x| ops::norm(x, 1e-6)),
            || gradient(&heads, |x| ops::norm_reference(x, 1e-6)),
        );
        group.finish();

        let mut group = criterion.benchmark_group("swiglu");
        pair(&mut group, &size, || ops::swiglu(x.clone(), y.clone()), || ops::swiglu_reference(x.clone(), y.clone()));
        pair(
            &mut group,
            &backward,
            || gradient(&x, |x| ops::swiglu(x, tracked_y.clone())),
            || gradient(&x, |x| ops::swiglu_reference(x, tracked_y.clone())),
        );
    }
}

fn flow(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fsq");
    let (z, levels) = (tensor([512, 6]), [8, 8, 8, 5, 5, 5]);
    pair(&mut group, "512x6", || ops::fsq(z.clone(), &levels), || ops::fsq_reference(z.clone(), &levels));
    let ids = ops::fsq(z, &levels).1;
    let (kernel, reference) = (ops::fsq_codes, ops::fsq_codes_reference);
    pair(&mut group, "512 codes", || kernel(ids.clone(), &levels), || reference(ids.clone(), &levels));
    group.finish();

    let mut group = criterion.benchmark_group("euler_step");
    let [x, cond, uncond, running] = [0, 1, 2, 3].map(|_| tensor::<4>([2, 16, 32, 32]));
    for projection in [None, Some(ops::Projection::default())] {
        let step = ops::EulerStep { dt: 0.04, guidance: 7.5, projection };
        let inputs = || (x.clone(), cond.clone(), Some(uncond.clone()), Some(running.clone()));
        let run = |run: fn(_, _, _, _, &ops::EulerStep) -> _| -> (Tensor<4>, Option<Tensor<4>>) {
            let (x, cond, uncond, running) = inputs();
            run(x, cond, uncond, running, &step)
        };
        let size = if projection.is_some() { "projected" } else { "plain" };
        pair(&mut group, size, || run(ops::euler_step), || run(ops::euler_step_reference));
    }
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

/// Planes of VAT's presets: queries of a training step, and a pass over a grid.
fn triplanes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("triplane_sample");
    let sample = |kernel: bool, planes: Tensor<5>, points: &Tensor<3>| match kernel {
        true => ops::triplane_sample(planes, points.clone(), ops::PlaneMerge::Concat),
        false => ops::triplane_sample_reference(planes, points.clone(), ops::PlaneMerge::Concat),
    };
    for (side, points) in [(256, 65_536), (256, 4096), (64, 4096)] {
        let (planes, points) = (tensor([1, 3, 32, side, side]), tensor([1, points, 3]));
        let size = format!("{} points at {side}", points.dims()[1]);
        pair(&mut group, &size, || sample(true, planes.clone(), &points), || sample(false, planes.clone(), &points));
        pair(
            &mut group,
            &format!("{size}, gradients"),
            || gradient(&planes, |planes| sample(true, planes, &points)),
            || gradient(&planes, |planes| sample(false, planes, &points)),
        );
    }
}

/// What generators run beside matrix products: LlamaGen-B's drawing of ids and turning of queries, with a cache and in training,
/// and the masks of NAR and xAR.
fn generation(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sample_logits");
    let [conditional, unconditional] = [0, 1].map(|_| tensor([4, 16384]).mul_scalar(8.0));
    for (name, top_k, top_p) in [("all ids", 0, 1.0), ("top-k 2000", 2000, 1.0), ("top-k 2000, top-p 0.9", 2000, 0.9)] {
        let filter = ops::Filter { temperature: 1.0, top_k, top_p };
        let chance = || ops::Chance::Counter { seed: 7, step: 3 };
        pair(
            &mut group,
            &format!("4x16384, {name}"),
            || ops::sample_logits(conditional.clone(), Some(unconditional.clone()), 4.0, filter, chance()).into_data(),
            || {
                let unconditional = Some(unconditional.clone());
                ops::sample_logits_reference(conditional.clone(), unconditional, 4.0, filter, chance()).into_data()
            },
        );
    }
    group.finish();

    let mut group = criterion.benchmark_group("rotary");
    for [batch, length, width] in [[8, 1, 768], [8, 257, 768]] {
        let (x, [cos, sin]) = (tensor([batch, length, width]), [0, 1].map(|_| tensor([length, 32])));
        let size = format!("{batch}x{length}x{width}");
        // Where nobody else holds `x` it is turned in place.
        pair(
            &mut group,
            &size,
            || ops::rotary(x.clone().mul_scalar(1.0), cos.clone(), sin.clone()),
            || ops::rotary_reference(x.clone().mul_scalar(1.0), cos.clone(), sin.clone()),
        );
        pair(
            &mut group,
            &format!("{size}, gradients"),
            || gradient(&x, |x| ops::rotary(x, cos.clone(), sin.clone())),
            || gradient(&x, |x| ops::rotary_reference(x, cos.clone(), sin.clone())),
        );
    }
    group.finish();

    let mut group = criterion.benchmark_group("masked_attention");
    for (length, mask, name) in [
        (257, ops::AttentionMask::Neighbours { first: 1, height: 16, width: 16 }, "neighbours"),
        (256, ops::AttentionMask::Blocks { size: 64 }, "blocks"),
    ] {
        let x = tensor([4, length, 768]);
        pair(
            &mut group,
            &format!("4x{length}x768, {name}"),
            || ops::masked_attention(x.clone(), x.clone(), x.clone(), 12, 0.125, mask),
            || ops::masked_attention_reference(x.clone(), x.clone(), x.clone(), 12, 0.125, mask),
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
    group_norm_gradients,
    transformer,
    masked_attention,
    adaptive,
    flow,
    triplanes,
    generation,
    codes_and_patches
);
criterion_main!(kernels);
