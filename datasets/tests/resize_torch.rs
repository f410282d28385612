//! The float resampler against PyTorch 2.15 (values made by `data/generate.py`).

mod common;

use common::{data_bytes, procedural};
use tessera_datasets::{Filter, Planar, resize, resize_planar_torch};

/// PyTorch computes positions and weights in `f32`, we in `f64`: a few units in the last place of values near 1.
const TOLERANCE: f32 = 5e-6;

fn golden(name: &str) -> Vec<f32> {
    data_bytes(name).as_chunks::<4>().0.iter().copied().map(f32::from_le_bytes).collect()
}

fn agrees(filter: Filter, word: &str) {
    let cases = [((61, 43), (9, 7), "down"), ((9, 7), (20, 16), "up"), ((61, 43), (5, 50), "mixed")];
    for (source, (width, height), kind) in cases {
        let planar = Planar::from_picture(&procedural(source.0, source.1));
        let ours = resize_planar_torch(&planar, height, width, filter).unwrap();
        let expected = golden(&format!("torch_{word}_{kind}.f32"));
        assert_eq!(ours.values().len(), expected.len());
        for (index, (ours, expected)) in ours.values().iter().zip(&expected).enumerate() {
            let gap = (ours - expected).abs();
            assert!(gap < TOLERANCE, "{word} {kind}: value {index} is {ours}, expected {expected}");
        }
    }
}

#[test]
fn pytorch_antialiased_bilinear_is_reproduced() {
    agrees(Filter::Bilinear, "bilinear");
}

#[test]
fn pytorch_antialiased_bicubic_is_reproduced() {
    agrees(Filter::Bicubic, "bicubic");
}

#[test]
fn bicubic_floats_overshoot_where_bytes_are_clamped() {
    let picture = procedural(61, 43);
    let floats = resize_planar_torch(&Planar::from_picture(&picture), 60, 97, Filter::Bicubic).unwrap();
    let highest = floats.values().iter().copied().fold(f32::MIN, f32::max);
    let lowest = floats.values().iter().copied().fold(f32::MAX, f32::min);
    assert!(highest > 1.02 && lowest < -0.02, "{lowest}..{highest}");
}

#[test]
fn both_modes_differ_only_by_rounding_for_a_filter_without_overshoot() {
    let picture = procedural(61, 43);
    let bytes = resize(&picture, 20, 30, Filter::Bilinear).unwrap();
    let floats = resize_planar_torch(&Planar::from_picture(&picture), 30, 20, Filter::Bilinear).unwrap();
    let rounded = floats.to_picture().unwrap();
    let widest = bytes.rgb().iter().zip(rounded.rgb()).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(widest <= Some(1), "{widest:?}");
}

#[test]
fn the_same_size_is_the_same_values_even_nan() {
    let planar = Planar::new(vec![f32::NAN, 2.0, -1.0], 1, 1).unwrap();
    let same = resize_planar_torch(&planar, 1, 1, Filter::Bicubic).unwrap();
    assert!(same.values()[0].is_nan() && same.values()[1..] == [2.0, -1.0]);
}
