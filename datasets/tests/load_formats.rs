//! What the pixels of each kind of file become.

mod common;

use std::io::Cursor;

use common::{data, data_bytes, procedural};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ExtendedColorType, ImageEncoder as _, ImageFormat, RgbImage};
use tessera_datasets::{Cmyk, LoadOptions, Picture, decode_picture, load_picture};

fn decode(bytes: &[u8]) -> Picture {
    decode_picture(bytes, "test", &LoadOptions::default()).unwrap()
}

fn png(image: impl Into<DynamicImage>) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// The largest difference of any byte from Pillow's reading of the same file.
fn gap_to_pillow(picture: &Picture, golden: &str) -> u8 {
    let expected = data_bytes(golden);
    assert_eq!(picture.rgb().len(), expected.len());
    picture.rgb().iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

#[test]
fn palette_grey_and_bilevel_png_become_rgb_like_pillow() {
    for name in ["palette", "grey", "bilevel"] {
        let picture = load_picture(data(&format!("{name}.png")), &LoadOptions::default()).unwrap();
        assert_eq!(gap_to_pillow(&picture, &format!("{name}.rgb")), 0, "{name}");
    }
}

#[test]
fn jpeg_is_within_a_few_levels_of_pillow() {
    for (name, tolerance) in [("smooth", 3), ("progressive", 5), ("grey", 2)] {
        let picture = load_picture(data(&format!("{name}.jpg")), &LoadOptions::default()).unwrap();
        let gap = gap_to_pillow(&picture, &format!("{name}.jpg.rgb"));
        assert!(gap <= tolerance, "{name}: {gap}");
    }
}

#[test]
fn cmyk_jpeg_on_request_is_within_a_few_levels_of_pillow() {
    let options = LoadOptions { cmyk: Cmyk::Approximate, ..LoadOptions::default() };
    for name in ["cmyk", "ycck"] {
        let picture = load_picture(data(&format!("{name}.jpg")), &options).unwrap();
        let gap = gap_to_pillow(&picture, &format!("{name}.jpg.rgb"));
        assert!(gap <= 4, "{name}: {gap}");
    }
}

#[test]
fn lossless_webp_is_exact_and_lossy_webp_is_close() {
    assert_eq!(decode(&data_bytes("lossless.webp")), procedural(12, 9));
    let lossy = decode(&data_bytes("lossy.webp"));
    assert_eq!((lossy.width(), lossy.height()), (16, 12));
    assert!(gap_to_pillow(&lossy, "smooth.jpg.rgb") < 20);
}

#[test]
fn the_content_decides_and_not_the_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("really_a_webp.png");
    std::fs::write(&path, data_bytes("lossless.webp")).unwrap();
    assert_eq!(load_picture(&path, &LoadOptions::default()).unwrap(), procedural(12, 9));
}

#[test]
fn transparency_goes_on_the_stated_background() {
    let pixels = vec![200, 100, 0, 255, 200, 100, 0, 0, 200, 100, 0, 128];
    let bytes = png(image::RgbaImage::from_raw(3, 1, pixels).unwrap());
    // 128/255 of (200, 100, 0) over white: 227.4, 177.2, 127.0.
    assert_eq!(decode(&bytes).rgb(), [200, 100, 0, 255, 255, 255, 227, 177, 127]);
    let black = LoadOptions { background: [0; 3], ..LoadOptions::default() };
    let on_black = decode_picture(&bytes, "test", &black).unwrap();
    assert_eq!(on_black.rgb(), [200, 100, 0, 0, 0, 0, 100, 50, 0]);
}

#[test]
fn a_transparent_palette_entry_shows_the_background() {
    let teal = LoadOptions { background: [0, 128, 128], ..LoadOptions::default() };
    let plain = decode(&data_bytes("palette.png"));
    let mixed = decode_picture(&data_bytes("palette_transparent.png"), "test", &teal).unwrap();
    let changed = plain.rgb().chunks_exact(3).zip(mixed.rgb().chunks_exact(3)).filter(|(a, b)| a != b);
    let colours: Vec<_> = changed.map(|(_, b)| b).collect();
    assert!(!colours.is_empty() && colours.iter().all(|colour| *colour == [0, 128, 128]));
}

#[test]
fn sixteen_bits_are_rounded_to_eight() {
    let grey = image::ImageBuffer::<image::Luma<u16>, _>::from_raw(4, 1, vec![0, 128, 129, 65535]).unwrap();
    assert_eq!(decode(&png(grey)).rgb(), [0, 0, 0, 0, 0, 0, 1, 1, 1, 255, 255, 255]);
    let rgb = image::ImageBuffer::<image::Rgb<u16>, _>::from_raw(1, 1, vec![257, 300, 65000]).unwrap();
    assert_eq!(decode(&png(rgb)).rgb(), [1, 1, 253]);
    let rgba = image::ImageBuffer::<image::Rgba<u16>, _>::from_raw(1, 1, vec![9, 9, 9, 0]).unwrap();
    assert_eq!(decode(&png(rgba)).rgb(), [255; 3]);
    let la = image::ImageBuffer::<image::LumaA<u16>, _>::from_raw(1, 1, vec![257 * 80, 65535]).unwrap();
    assert_eq!(decode(&png(la)).rgb(), [80; 3]);
}

/// A minimal Exif block with nothing but an orientation.
fn exif(orientation: u8) -> Vec<u8> {
    let mut block = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    block.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    block
}

#[test]
fn all_eight_exif_orientations_show_the_same_scene() {
    let upright = procedural(5, 3);
    let image = RgbImage::from_raw(5, 3, upright.rgb().to_vec()).unwrap();
    // How a camera would have stored the scene: the inverse of what a viewer has to do.
    for orientation in 1..=8 {
        let mut stored = DynamicImage::ImageRgb8(image.clone());
        stored.apply_orientation(match Orientation::from_exif(orientation).unwrap() {
            Orientation::Rotate90 => Orientation::Rotate270,
            Orientation::Rotate270 => Orientation::Rotate90,
            own_inverse => own_inverse,
        });
        let mut bytes = Vec::new();
        let mut encoder = PngEncoder::new(&mut bytes);
        encoder.set_exif_metadata(exif(orientation)).unwrap();
        let (width, height) = (stored.width(), stored.height());
        encoder.write_image(stored.as_bytes(), width, height, ExtendedColorType::Rgb8).unwrap();
        assert_eq!(decode(&bytes), upright, "orientation {orientation}");
    }
}

#[test]
fn orientation_6_turns_the_stored_left_column_into_the_top_row() {
    // Exif 6 ("right, top"): the first stored column is the top of the scene, read from bottom to top.
    let stored = procedural(2, 3);
    let mut bytes = Vec::new();
    let mut encoder = PngEncoder::new(&mut bytes);
    encoder.set_exif_metadata(exif(6)).unwrap();
    encoder.write_image(stored.rgb(), 2, 3, ExtendedColorType::Rgb8).unwrap();
    let shown = decode(&bytes);
    assert_eq!((shown.width(), shown.height()), (3, 2));
    for x in 0..3 {
        assert_eq!(shown.pixel(x, 0), stored.pixel(0, 2 - x));
    }
}

#[test]
fn jpeg_orientation_is_applied_and_a_broken_exif_block_is_ignored() {
    let stored = procedural(16, 8);
    for (block, expected) in [(exif(6), (8, 16)), (exif(99), (16, 8)), (b"nonsense".to_vec(), (16, 8))] {
        let mut bytes = Vec::new();
        let mut encoder = JpegEncoder::new(&mut bytes);
        encoder.set_exif_metadata(block).unwrap();
        encoder.write_image(stored.rgb(), 16, 8, ExtendedColorType::Rgb8).unwrap();
        let shown = decode(&bytes);
        assert_eq!((shown.width(), shown.height()), expected);
    }
}
