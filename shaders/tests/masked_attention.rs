//! masked_attention: kernels against burn's attention under every mask, and gradients.

mod common;

use burn::backend::{Dispatch, DispatchDevice};
use burn::tensor::{Device, Tensor, TensorData};
use common::{assert_close, devices, numbers, tensor, values};
use proptest::prelude::*;
use tessera_shaders::{
    AttentionMask, MAX_HEAD_DIM, MaskedAttentionOps as _, MaskedAttentionShape, ScaleEnds, attention_in_parts,
    masked_attention, masked_attention_reference, weighted_attention, weighted_attention_reference,
};

/// batch, queries, keys, heads, channels of a head: around eight keys, 32 queries, 32 channels, and where the tiles of
/// the WGSL kernel change.
const SIZES: [[usize; 5]; 16] = [
    [1, 1, 1, 1, 1],
    [1, 2, 2, 3, 2],
    [2, 7, 7, 2, 8],
    [1, 8, 9, 1, 9],
    [2, 31, 31, 2, 16],
    [1, 32, 32, 3, 33],
    [1, 33, 33, 2, 31],
    [1, 33, 64, 1, 32],
    [1, 1, 50, 2, 7],
    [1, 5, 37, 1, 12],
    [2, 67, 67, 2, 64],
    [1, 34, 40, 1, 65],
    [1, 20, 33, 1, 104],
    [1, 17, 18, 1, 105],
    [1, 40, 41, 1, MAX_HEAD_DIM],
    [3, 130, 130, 1, 5],
];

fn masks(keys: usize) -> Vec<AttentionMask> {
    let registers = [0, 1, keys / 2, keys].map(|patches| AttentionMask::Registers { patches });
    let grids = [(0, 1, keys), (keys / 3, 2, keys), (1, 5, 7), (2, 9, 3)];
    let grids = grids.map(|(first, height, width)| AttentionMask::Neighbours { first, height, width });
    let blocks = [1, 4, keys].map(|size| AttentionMask::Blocks { size });
    let scales = [(0, true, vec![1, 2, 4, 9]), (3, false, vec![1, 4, 9, 16, 25]), (keys / 2, true, vec![keys])];
    let scales = scales.map(|(first, is_causal, lengths)| {
        let ends = ScaleEnds::new(lengths).expect("few scales");
        AttentionMask::Scales { first, is_causal, ends }
    });
    let plain = [AttentionMask::Full, AttentionMask::Causal].into_iter();
    plain.chain(registers).chain(grids).chain(blocks).chain(scales).collect()
}

/// Those without a shader too.
fn all_masks(keys: usize) -> Vec<AttentionMask> {
    let diagonals = [(0, vec![1, 2, 4, 9]), (3, vec![1, 4, 4, 16, 25]), (keys / 2, vec![keys])];
    let diagonals = diagonals.map(|(first, lengths)| AttentionMask::ScaleDiagonals {
        first,
        ends: ScaleEnds::new(lengths).expect("few scales"),
    });
    masks(keys).into_iter().chain(diagonals).collect()
}

fn inputs([batch, queries, keys, heads, dim]: [usize; 5], device: &Device) -> [Tensor<3>; 3] {
    let part = |length, seed| tensor([batch, length, heads * dim], seed, device).mul_scalar(2.0);
    [part(queries, 3), part(keys, 4), part(keys, 5)]
}

/// [`masked_attention`], and on a GPU the shader even where the reference is faster.
fn kernel(q: Tensor<3>, k: Tensor<3>, v: Tensor<3>, heads: usize, scale: f32, mask: AttentionMask) -> Tensor<3> {
    let device = q.device();
    match device.as_dispatch() {
        DispatchDevice::Cube(_)
            if q.dims()[2] / heads <= MAX_HEAD_DIM && !matches!(mask, AttentionMask::ScaleDiagonals { .. }) =>
        {
            let [q, k, v] = [q, k, v].map(Tensor::into_dispatch);
            let shape = MaskedAttentionShape { heads, scale, mask };
            Tensor::from_dispatch(Dispatch::masked_attention(q, k, v, shape))
        }
        _ => masked_attention(q, k, v, heads, scale, mask),
    }
}

type Attention = fn(Tensor<3>, Tensor<3>, Tensor<3>, usize, f32, AttentionMask) -> Tensor<3>;

fn compare(size: [usize; 5], mask: AttentionMask, device: &Device) {
    let [q, k, v] = inputs(size, device);
    let shape = q.dims();
    let found = kernel(q.clone(), k.clone(), v.clone(), size[3], 0.3, mask);
    assert_eq!(found.dims(), shape);
    let expected = masked_attention_reference(q, k, v, size[3], 0.3, mask);
    assert_close(&values(found), &values(expected), 3e-5, &format!("{size:?} {mask:?} on {device:?}"));
}

#[test]
fn kernel_agrees_with_reference_on_odd_sizes() {
    for device in devices() {
        for size in SIZES {
            for mask in all_masks(size[2]) {
                compare(size, mask, &device);
            }
        }
    }
}

#[test]
fn heads_too_wide_for_the_shader_and_more_queries_than_keys() {
    for device in devices() {
        compare([1, 9, 10, 1, MAX_HEAD_DIM + 1], AttentionMask::Causal, &device);
        compare([2, 50, 3, 2, 6], AttentionMask::Full, &device);
        compare([1, 70, 129, 1, 520], AttentionMask::Registers { patches: 100 }, &device);
    }
}

#[test]
fn runs_of_queries_give_what_all_at_once_do() {
    for device in devices() {
        for size in [[2, 7, 9, 2, 8], [1, 33, 64, 3, 5], [2, 31, 31, 1, 16]] {
            let [batch, queries, keys, heads, _] = size;
            let weights = tensor([batch, keys], 6, &device);
            for mask in masks(keys) {
                let shape = MaskedAttentionShape { heads, scale: 0.3, mask };
                let expected = |weights: Option<Tensor<2>>| {
                    let [q, k, v] = inputs(size, &device);
                    values(weighted_attention_reference(q, k, v, weights, heads, 0.3, mask))
                };
                let row = 4 * batch * heads * keys;
                // A query at a time, runs that do not divide the queries, and everything.
                for most in [1, 10 * row, (queries - 1) * row, queries * row] {
                    for weights in [None, Some(weights.clone())] {
                        let [q, k, v] = inputs(size, &device);
                        let found = attention_in_parts(q, k, v, weights.clone(), shape, Some(most as u64));
                        let what = format!("{size:?} {mask:?} {most} bytes on {device:?}");
                        assert_close(&values(found), &expected(weights), 2e-5, &what);
                    }
                }
            }
        }
    }
}

#[test]
fn views_and_permuted_inputs_are_read_right() {
    let mask = AttentionMask::Registers { patches: 9 };
    for device in devices() {
        let qkv = tensor([2, 40, 3 * 12], 6, &device);
        let part = |index: usize, from: usize| qkv.clone().slice([0..2, from..40, index * 12..(index + 1) * 12]);
        let turned = |seed| tensor([12, 2, 40], seed, &device).permute([1, 2, 0]);
        let flipped = part(1, 0).flip([1]);
        let wide = tensor([1, 40, 12], 7, &device).expand([2, 40, 12]);
        for [q, k, v] in [
            [part(0, 0), part(1, 0), part(2, 0)],
            [part(0, 31), part(1, 0), part(2, 0)],
            [turned(1), turned(2), turned(3)],
            [part(2, 0), wide, flipped],
        ] {
            let found = kernel(q.clone(), k.clone(), v.clone(), 3, 0.5, mask);
            let expected = masked_attention_reference(q, k, v, 3, 0.5, mask);
            assert_close(&values(found), &values(expected), 2e-5, &format!("views on {device:?}"));
        }
    }
}

#[test]
fn large_scores_do_not_overflow() {
    for device in devices() {
        for mask in masks(40) {
            let [q, k, v] = inputs([1, 40, 40, 1, 16], &device);
            let found = values(kernel(q.mul_scalar(60.0), k.mul_scalar(60.0), v, 1, 1.0, mask));
            assert!(found.iter().all(|value| value.is_finite()), "{mask:?} on {device:?}");
        }
    }
}

#[test]
fn an_input_without_positions_gives_none() {
    for device in devices() {
        let none = || Tensor::<3>::zeros([2, 0, 8], &device);
        let y = masked_attention(none(), none(), none(), 2, 1.0, AttentionMask::Causal);
        assert_eq!(y.dims(), [2, 0, 8]);
    }
}

#[test]
fn gradients_equal_those_of_the_reference() {
    for device in devices() {
        // On a GPU the backward pass is the reference's own.
        let every = if matches!(device.as_dispatch(), DispatchDevice::Cube(_)) { 6 } else { 1 };
        for size in SIZES.into_iter().chain([[1, 200, 300, 1, 40]]).step_by(every) {
            let scale = (size[4] as f32).powf(-0.5);
            for mask in masks(size[2]) {
                let gradients = |run: Attention| {
                    let inputs = inputs(size, &device).map(|input| input.autodiff().require_grad());
                    let [q, k, v] = inputs.clone();
                    let y = run(q, k, v, size[3], scale, mask);
                    let gradients = (y.clone() * y.tanh()).sum().backward();
                    inputs.map(|input| values(input.grad(&gradients).expect("a gradient")))
                };
                let (found, expected) = (gradients(masked_attention), gradients(masked_attention_reference));
                for ((found, expected), name) in found.iter().zip(&expected).zip(["q", "k", "v"]) {
                    assert_close(found, expected, 2e-4, &format!("{name} of {size:?} {mask:?} on {device:?}"));
                }
            }
        }
    }
}

/// One head is shared out among many threads, but no sum is cut in two.
#[test]
fn the_number_of_threads_changes_no_bit() {
    let bits = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| {
            let inputs = inputs([1, 150, 170, 1, 20], &Device::flex()).map(|input| input.autodiff().require_grad());
            let [q, k, v] = inputs.clone();
            let y = masked_attention(q, k, v, 1, 0.3, AttentionMask::Registers { patches: 70 });
            let gradients = (y.clone() * y.clone()).sum().backward();
            let gradients = inputs.map(|input| values(input.grad(&gradients).expect("a gradient")));
            let all: Vec<u32> = gradients.concat().into_iter().chain(values(y.inner())).map(f32::to_bits).collect();
            all
        })
    };
    let alone = bits(1);
    assert!([2, 7].iter().all(|&threads| bits(threads) == alone));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_key_that_is_not_seen_changes_nothing(
        queries in 1usize..70,
        more in 0usize..40,
        patches in 0usize..100,
        causal: bool,
        key in 0usize..110,
        seed in 0u64..1000,
    ) {
        let keys = queries + more;
        let key = key % keys;
        let mask = if causal { AttentionMask::Causal } else { AttentionMask::Registers { patches } };
        let width = 6;
        let part = |length: usize, seed: u64| numbers(length * width, seed);
        let run = |k: &[f32], v: &[f32]| {
            let upload = |values: &[f32], length: usize| {
                Tensor::<3>::from_data(TensorData::new(values.to_vec(), [1, length, width]), &Device::flex())
            };
            let q = upload(&part(queries, seed), queries);
            values(masked_attention(q, upload(k, keys), upload(v, keys), 2, 0.7, mask))
        };
        let (mut k, mut v) = (part(keys, seed + 1), part(keys, seed + 2));
        let before = run(&k, &v);
        for channel in 0..width {
            k[key * width + channel] += 300.0;
            v[key * width + channel] = -1e6;
        }
        let after = run(&k, &v);
        for query in 0..queries {
            let row = query * width..(query + 1) * width;
            let same = before[row.clone()].iter().zip(&after[row]).all(|(a, b)| a.to_bits() == b.to_bits());
            prop_assert!(same || key < mask.visible(query, queries, keys), "query {} saw key {}", query, key);
        }
    }
}

#[test]
fn a_key_that_counts_several_times_is_as_good_as_several() {
    for device in devices() {
        let [batch, patches, copies, width, heads] = [2, 37, 5, 24, 3];
        let row = |seed| tensor::<3>([batch, patches, width], seed, &device);
        // Positions behind the patches are alike: once each with its number, or as often as that.
        let alike = |x: Tensor<3>, times: usize| {
            let last = x.clone().slice([0..batch, patches - 1..patches]).expand([batch, times, width]);
            Tensor::cat(vec![x, last], 1)
        };
        let attend = |extra: usize, weights: Vec<f32>| {
            let [q, k, v] = [1, 2, 3].map(|seed| alike(row(seed).mul_scalar(2.0), extra));
            let weights: Vec<f32> = (0..batch).flat_map(|_| weights.clone()).map(f32::ln).collect();
            let weights = Tensor::from_data(TensorData::new(weights, [batch, patches + extra]), &device);
            let y = weighted_attention(q, k, v, weights, heads, 0.3, AttentionMask::Full);
            values(y.slice([0..batch, 0..patches]))
        };
        let counted = attend(1, (0..=patches).map(|at| if at < patches { 1.0 } else { copies as f32 }).collect());
        let written = attend(copies, vec![1.0; patches + copies]);
        assert_close(&counted, &written, 2e-5, &format!("{device:?}"));
    }
}
