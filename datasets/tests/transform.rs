//! Sizes, crops, flips and the whole preparation.

mod common;

use common::procedural;
use tessera_datasets::{
    DatasetError, Filter, Picture, Planar, Preprocess, ResizeMode, center_crop, crop, flip_horizontal, random_crop,
    resize, resize_planar_torch, resize_shorter_edge, shorter_edge_size,
};

#[test]
fn the_longer_edge_is_cut_to_an_integer() {
    for (width, height, size, expected) in [
        (640, 480, 256, (341, 256)), // 341.33
        (480, 640, 256, (256, 341)),
        (500, 333, 256, (384, 256)), // 384.38
        (613, 431, 100, (142, 100)), // 142.23
        (3, 3, 256, (256, 256)),
        (257, 256, 256, (257, 256)),
    ] {
        assert_eq!(shorter_edge_size(width, height, size).unwrap(), expected, "{width}x{height}");
    }
}

#[test]
fn centred_windows_round_halves_to_even() {
    // Spare pixels 0 to 7 give Python's round(spare / 2): 0, 0, 1, 2, 2, 2, 3, 4.
    for (spare, left) in [0, 0, 1, 2, 2, 2, 3, 4].into_iter().enumerate() {
        let picture = procedural(4 + spare as u32, 4);
        assert_eq!(center_crop(&picture, 4).unwrap(), crop(&picture, left, 0, 4, 4).unwrap(), "{spare}");
    }
}

#[test]
fn a_crop_holds_the_pixels_of_its_window() {
    let picture = procedural(11, 7);
    let window = crop(&picture, 3, 2, 5, 4).unwrap();
    for y in 0..4 {
        for x in 0..5 {
            assert_eq!(window.pixel(x, y), picture.pixel(x + 3, y + 2));
        }
    }
    assert_eq!(random_crop(&picture, 4, 7, 3).unwrap(), crop(&picture, 7, 3, 4, 4).unwrap());
}

#[test]
fn windows_outside_are_refused() {
    let picture = procedural(11, 7);
    for (left, top, width, height) in [(8, 0, 4, 4), (0, 4, 4, 4), (u32::MAX, 0, 1, 1), (0, 0, 12, 1)] {
        let error = crop(&picture, left, top, width, height).unwrap_err();
        assert!(matches!(error, DatasetError::CropOutside { .. }), "{error}");
    }
    assert!(matches!(crop(&picture, 0, 0, 0, 1).unwrap_err(), DatasetError::Zero { .. }));
    assert!(matches!(center_crop(&picture, 8).unwrap_err(), DatasetError::CropOutside { .. }));
    assert!(matches!(center_crop(&picture, 0).unwrap_err(), DatasetError::Zero { .. }));
}

#[test]
fn a_flip_mirrors_and_twice_is_nothing() {
    let picture = procedural(6, 4);
    let flipped = flip_horizontal(&picture);
    assert_eq!(flipped.pixel(0, 3), picture.pixel(5, 3));
    assert_eq!(flip_horizontal(&flipped), picture);
}

#[test]
fn preparation_is_resize_then_centre_crop() {
    let picture = procedural(90, 61);
    let prepared = Preprocess::square(32, Filter::Bicubic).apply(&picture).unwrap();
    let by_hand = center_crop(&resize(&picture, 47, 32, Filter::Bicubic).unwrap(), 32).unwrap();
    assert_eq!(prepared, by_hand);
    let planar = Preprocess::square(32, Filter::Bicubic).apply_planar(&picture).unwrap();
    assert_eq!(planar, Planar::from_picture(&by_hand));
}

#[test]
fn float_preparation_crops_the_unrounded_values() {
    let picture = procedural(90, 61);
    let float = Preprocess::square(32, Filter::Bicubic).with_mode(ResizeMode::TorchFloat);
    let planar = float.apply_planar(&picture).unwrap();
    let resized = resize_planar_torch(&Planar::from_picture(&picture), 32, 47, Filter::Bicubic).unwrap();
    // 47 - 32 leaves 15, so the window begins at round(7.5) = 8.
    for (index, value) in planar.values().iter().enumerate() {
        let (row, x) = (index / 32, index % 32);
        assert_eq!(*value, resized.values()[row * 47 + x + 8]);
    }
    let bytes = float.apply(&picture).unwrap();
    assert_eq!(bytes, planar.to_picture().unwrap());
    assert_eq!((bytes.width(), bytes.height()), (32, 32));
}

#[test]
fn steps_can_be_left_out() {
    let picture = procedural(20, 10);
    let nothing = Preprocess { resize_shorter_edge: None, crop: None, ..Preprocess::square(1, Filter::Box) };
    assert_eq!(nothing.apply(&picture).unwrap(), picture);
    assert_eq!(nothing.with_mode(ResizeMode::TorchFloat).apply(&picture).unwrap(), picture);
    let resized = Preprocess { crop: None, ..Preprocess::square(5, Filter::Box) };
    for mode in [ResizeMode::Pillow, ResizeMode::TorchFloat] {
        let out = resized.with_mode(mode).apply(&picture).unwrap();
        assert_eq!((out.width(), out.height()), (10, 5));
    }
}

#[test]
fn a_single_pixel_fills_the_square() {
    let picture = Picture::filled(1, 1, [9, 99, 199]).unwrap();
    let expected = Picture::filled(256, 256, [9, 99, 199]).unwrap();
    for mode in [ResizeMode::Pillow, ResizeMode::TorchFloat] {
        let preparation = Preprocess::square(256, Filter::Lanczos3).with_mode(mode);
        assert_eq!(preparation.apply(&picture).unwrap(), expected);
    }
}

#[test]
fn a_line_of_30000_pixels_is_refused_at_256_and_works_at_4() {
    for (width, height) in [(30_000, 1), (1, 30_000)] {
        let line = procedural(width, height);
        for mode in [ResizeMode::Pillow, ResizeMode::TorchFloat] {
            let error = Preprocess::square(256, Filter::Bicubic).with_mode(mode).apply(&line).unwrap_err();
            let DatasetError::TooLarge { width, height, .. } = error else { panic!("{error}") };
            assert_eq!((width.max(height), width.min(height)), (7_680_000, 256));
        }
        let small = resize_shorter_edge(&line, 4, Filter::Bicubic).unwrap();
        assert_eq!(small.width().max(small.height()), 120_000);
    }
    let beyond_u32 = shorter_edge_size(u32::MAX, 1, u32::MAX).unwrap_err();
    assert!(matches!(beyond_u32, DatasetError::TooLarge { .. }), "{beyond_u32}");
    assert!(matches!(shorter_edge_size(3, 3, 0).unwrap_err(), DatasetError::Zero { .. }));
}
