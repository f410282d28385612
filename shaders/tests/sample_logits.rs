//! sample_logits: kernels against the reference.

mod common;

use burn::tensor::{Device, Int, Tensor};
use common::{devices, tensor};
use tessera_shaders::{Chance, Filter, filtered_probabilities, sample_logits, sample_logits_reference, uniforms};

const FILTERS: [Filter; 7] = [
    Filter { temperature: 1.0, top_k: 0, top_p: 1.0 },
    Filter { temperature: 0.7, top_k: 0, top_p: 1.0 },
    Filter { temperature: 1.0, top_k: 1, top_p: 1.0 },
    Filter { temperature: 1.3, top_k: 5, top_p: 1.0 },
    Filter { temperature: 1.0, top_k: 1 << 20, top_p: 0.9 },
    Filter { temperature: 1.0, top_k: 12, top_p: 0.6 },
    Filter { temperature: 0.0, top_k: 0, top_p: 0.01 },
];

fn ids(tensor: Tensor<1, Int>) -> Vec<i64> {
    tensor.into_data().iter().collect()
}

fn logits(rows: usize, codes: usize, seed: u64, device: &Device) -> Tensor<2> {
    tensor::<2>([rows, codes], seed, device).mul_scalar(4.0)
}

#[test]
fn kernels_draw_what_the_reference_draws() {
    for device in devices() {
        for (rows, codes) in [(1, 1), (3, 2), (5, 43), (2, 255), (4, 256), (3, 257), (2, 4096), (1, 16_384)] {
            let [conditional, other] = [3, 4].map(|seed| logits(rows, codes, seed, &device));
            for filter in FILTERS {
                for scale in [0.5, 2.5] {
                    for step in 0..2 {
                        let chance = Chance::Counter { seed: 9, step };
                        let pair = || (conditional.clone(), Some(other.clone()));
                        let (c, u) = pair();
                        let found = ids(sample_logits(c, u, scale, filter, chance.clone()));
                        let (c, u) = pair();
                        let expected = ids(sample_logits_reference(c, u, scale, filter, chance));
                        // A draw beside a boundary may fall to either side.
                        let (c, u) = pair();
                        let sums = filtered_probabilities(c, u, scale, filter).1.cumsum(1);
                        let sums: Vec<f32> = sums.into_data().iter().collect();
                        let chances: Vec<f32> = uniforms(9, step, rows, &device).into_data().iter().collect();
                        for row in 0..rows {
                            let near = |sum: &f32| (sum - chances[row]).abs() < 2e-5;
                            if !sums[row * codes..][..codes].iter().any(near) {
                                let what = format!("{rows} {codes} {filter:?} {scale} {step} on {device:?}");
                                assert_eq!(found[row], expected[row], "{what}");
                            }
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn draws_follow_the_probabilities() {
    for device in devices() {
        let codes = 6;
        let row = logits(1, codes, 5, &device);
        let filter = Filter { top_k: 4, ..Filter::default() };
        let (_, expected) = filtered_probabilities(row.clone(), None, 1.0, filter);
        let expected: Vec<f32> = expected.into_data().iter().collect();
        let rows = 20_000;
        let drawn =
            ids(sample_logits(row.expand([rows, codes]), None, 1.0, filter, Chance::Counter { seed: 1, step: 2 }));
        for (id, expected) in expected.into_iter().enumerate() {
            let share = drawn.iter().filter(|&&drawn| drawn == id as i64).count() as f32 / rows as f32;
            assert!((share - expected).abs() < 0.012, "{id}: {share}, expected {expected}");
        }
    }
}

#[test]
fn ties_of_a_threshold_stay_and_the_largest_is_never_lost() {
    for device in devices() {
        let row = Tensor::<2>::from_floats([[1.0, 3.0, 3.0, 2.0]], &device).expand([64, 4]);
        for filter in [Filter { top_k: 1, ..Filter::default() }, Filter { top_p: 1e-6, ..Filter::default() }] {
            let mut drawn = ids(sample_logits(row.clone(), None, 1.0, filter, Chance::Counter { seed: 3, step: 0 }));
            drawn.sort_unstable();
            drawn.dedup();
            assert_eq!(drawn, [1, 2], "{filter:?} on {device:?}");
        }
        let ends = Tensor::<1>::from_floats([0.0, 0.999_999_94], &device);
        let row = Tensor::<2>::from_floats([[0.0, 0.0, -1e9]], &device).expand([2, 3]);
        assert_eq!(ids(sample_logits(row, None, 1.0, Filter::default(), Chance::Given(ends))), [0, 1]);
    }
}
