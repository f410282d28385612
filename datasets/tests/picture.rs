//! Pictures, planes and PSNR.

mod common;

use common::procedural;
use proptest::prelude::*;
use tessera_datasets::{DatasetError, Picture, Planar, psnr};

#[test]
fn wrong_lengths_and_empty_sides_are_refused() {
    let length = Picture::new(2, 3, vec![0; 17]).unwrap_err();
    assert!(matches!(length, DatasetError::WrongLength { expected: 18, found: 17, .. }), "{length}");
    assert!(matches!(Picture::new(0, 3, vec![]).unwrap_err(), DatasetError::Zero { .. }));
    assert!(matches!(Picture::new(3, 0, vec![]).unwrap_err(), DatasetError::Zero { .. }));
    let huge = Picture::new(u32::MAX, u32::MAX, vec![]).unwrap_err();
    assert!(matches!(huge, DatasetError::WrongLength { .. }), "{huge}");
    assert!(matches!(Picture::filled(u32::MAX, 2, [0; 3]).unwrap_err(), DatasetError::TooLarge { .. }));
    assert!(matches!(Planar::new(vec![0.0; 4], 1, 1).unwrap_err(), DatasetError::WrongLength { .. }));
}

#[test]
fn planes_come_red_green_blue() {
    let picture = Picture::new(2, 1, vec![255, 0, 51, 0, 255, 102]).unwrap();
    assert_eq!(picture.to_planar_f32(), [1.0, 0.0, 0.0, 1.0, 0.2, 0.4]);
}

#[test]
fn every_float_becomes_a_byte() {
    let values = [f32::NAN, -1.0, 7.0, f32::INFINITY, f32::NEG_INFINITY, 0.5];
    let picture = Picture::from_planar_f32(&values, 1, 2).unwrap();
    // Red (NaN, -1), green (7, inf), blue (-inf, 0.5 -> 127.5 -> 128).
    assert_eq!(picture.rgb(), [0, 255, 0, 0, 255, 128]);
    assert!(Picture::from_planar_f32(&values, 2, 2).is_err());
}

#[test]
fn pixels_are_read_inside_and_none_outside() {
    let picture = procedural(4, 3);
    assert_eq!(picture.pixel(3, 2).map(|colour| colour.to_vec()), Some(picture.rgb()[33..36].to_vec()));
    assert_eq!(picture.pixel(4, 0), None);
    assert_eq!(picture.pixel(0, 3), None);
}

#[test]
fn psnr_of_a_known_difference() {
    let black = Picture::filled(3, 2, [0; 3]).unwrap();
    assert_eq!(psnr(&black, &black).unwrap(), f64::INFINITY);
    let white = Picture::filled(3, 2, [255; 3]).unwrap();
    assert_eq!(psnr(&black, &white).unwrap(), 0.0);
    // A difference of 1 everywhere: 10 log10(65025) dB.
    let almost = Picture::filled(3, 2, [1; 3]).unwrap();
    assert!((psnr(&black, &almost).unwrap() - 48.130_803_608_679_1).abs() < 1e-9);
    let other = Picture::filled(2, 3, [0; 3]).unwrap();
    assert!(matches!(psnr(&black, &other).unwrap_err(), DatasetError::SizeMismatch { .. }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn to_planes_and_back_is_the_identity(width in 1u32..20, height in 1u32..20) {
        let picture = procedural(width, height);
        let planar = picture.to_planar_f32();
        prop_assert_eq!(Picture::from_planar_f32(&planar, height, width).unwrap(), picture);
    }
}
