//! JPEG files whose components come in several scans or in unusual sizes, against Pillow's reading of the same files.

mod common;

use common::data_bytes;
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use proptest::prelude::*;
use tessera_datasets::{Cmyk, DatasetError, LoadOptions, Picture, decode_picture, psnr};

/// With the CMYK files too.
const OPTIONS: LoadOptions = LoadOptions { background: [255; 3], max_pixels: 1 << 20, cmyk: Cmyk::Approximate };

fn file(name: &str) -> Vec<u8> {
    data_bytes(&format!("scans/{name}.jpg"))
}

fn decode(name: &str) -> Result<Picture, DatasetError> {
    decode_picture(&file(name), name, &OPTIONS)
}

/// The largest difference of any byte.
fn gap(ours: &[u8], theirs: &[u8]) -> u8 {
    assert_eq!(ours.len(), theirs.len());
    ours.iter().zip(theirs).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

/// What Pillow reads from all files of this group.
fn golden(group: &str) -> Vec<u8> {
    data_bytes(&format!("scans/{group}.rgb"))
}

/// The gap of each of these files to the golden of the group.
fn assert_close(group: &str, layouts: &[&str]) {
    for layout in layouts {
        let name = format!("{group}_{layout}");
        let gap = gap(decode(&name).unwrap().rgb(), &golden(group));
        assert!(gap <= 5, "{name}: {gap}");
    }
}

#[test]
fn zune_image_issue_422_subsampled_baseline_in_several_scans_is_read_like_pillow() {
    assert_close("420", &["y_cb_cr", "y_cbcr", "ycb_cr"]);
    for group in ["422", "440", "411"] {
        assert_close(group, &["y_cb_cr"]);
    }
}

#[test]
fn zune_image_issue_449_scans_that_begin_with_chroma_are_read_like_pillow() {
    assert_close("420", &["cr_cb_y"]);
    assert_close("444", &["cr_cb_y"]);
}

#[test]
fn several_scans_with_restarts_are_read_like_pillow() {
    for group in ["444", "422", "440", "420", "411", "small_first"] {
        assert_close(group, &["restarts"]);
    }
}

#[test]
fn full_size_components_in_several_scans_are_read_like_pillow() {
    assert_close("444", &["y_cb_cr", "y_cbcr", "ycb_cr"]);
}

#[test]
fn ordinary_progressive_and_grey_files_are_read_like_pillow() {
    for group in ["444", "422", "440", "420", "411"] {
        assert_close(group, &["one", "progressive"]);
    }
    assert_close("420", &["progressive_restarts"]);
    assert!(gap(decode("grey_restarts").unwrap().rgb(), &golden("grey")) <= 2);
}

#[test]
fn a_first_component_smaller_than_the_others_is_read_like_pillow() {
    assert_close("small_first", &["one", "progressive", "y_cb_cr"]);
}

#[test]
fn colours_of_files_in_several_scans_follow_their_headers() {
    for (name, group) in [("named_rgb", "rgb"), ("adobe_rgb", "rgb"), ("cmyk", "cmyk"), ("ycck", "ycck")] {
        let gap = gap(decode(name).unwrap().rgb(), &golden(group));
        assert!(gap <= 5, "{name}: {gap}");
    }
    let refused = decode_picture(&file("cmyk"), "cmyk", &LoadOptions::default());
    assert!(matches!(refused, Err(DatasetError::CmykJpeg { .. })));
}

#[test]
fn the_exif_orientation_of_a_file_in_several_scans_is_applied() {
    let upright = decode("420_y_cb_cr").unwrap();
    // Orientation 6 in a segment of its own, behind the start marker.
    let mut exif = b"\xFF\xE1\0\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([6, 0, 0, 0, 0, 0, 0, 0]);
    let bytes = file("420_y_cb_cr");
    let turned = decode_picture(&[&bytes[..2], &exif, &bytes[2..]].concat(), "turned", &OPTIONS).unwrap();
    assert_eq!((turned.width(), turned.height()), (upright.height(), upright.width()));
    assert_eq!(turned.pixel(24, 3), upright.pixel(3, 0));
}

#[test]
fn sizes_that_no_decoder_reads_right_in_several_scans_are_refused() {
    for name in ["between_y_cb_cr", "between_restarts"] {
        let error = decode(name).unwrap_err();
        assert!(matches!(error, DatasetError::JpegLayout { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains(name) && message.contains("save it again as an ordinary"), "{message}");
    }
    // In one scan or progressive they are fine; the chroma of the usual decoder is a little sharper than Pillow's.
    for name in ["between_one", "between_progressive"] {
        let gap = gap(decode(name).unwrap().rgb(), &golden("between"));
        assert!(gap <= 20, "{name}: {gap}");
    }
}

#[test]
fn optimised_tables_of_jpeg_encoder_change_nothing() {
    use SamplingFactor::{F_1_1, F_1_2, F_2_1, F_2_2, F_4_1, R_4_2_0, R_4_2_2};
    for (width, height) in [(41, 25), (17, 9), (1, 1), (160, 130)] {
        let picture = common::procedural(width, height);
        for sampling in [F_1_1, F_2_1, F_1_2, F_2_2, F_4_1, R_4_2_0, R_4_2_2] {
            let [plain, optimised] = [false, true].map(|optimised| {
                let mut bytes = Vec::new();
                let mut encoder = Encoder::new(&mut bytes, 90);
                encoder.set_sampling_factor(sampling);
                encoder.set_optimized_huffman_tables(optimised);
                encoder.encode(picture.rgb(), width as u16, height as u16, ColorType::Rgb).unwrap();
                decode_picture(&bytes, "test", &OPTIONS).unwrap()
            });
            // Not by the largest difference: the usual decoder is up to 42 levels off in the last row of half-height
            // chroma, which it mixes with the padding below.
            let psnr = psnr(&optimised, &plain).unwrap();
            assert!(psnr > 40.0, "{width}x{height} {sampling:?}: {psnr}");
        }
    }
}

/// Fails once the decoder of the `image` crate reads these files right: then `jpeg_planes.rs` may go.
#[test]
fn zune_image_issue_422_is_still_there() {
    let usual = image::load_from_memory(&file("420_y_cb_cr")).map(|image| image.into_rgb8().into_raw());
    assert!(usual.is_ok_and(|pixels| gap(&pixels, &golden("420")) > 100));
}

#[test]
fn files_in_several_scans_cut_anywhere_are_refused() {
    let bytes = file("420_y_cb_cr");
    for length in 1..bytes.len() {
        assert!(decode_picture(&bytes[..length], "cut", &OPTIONS).is_err(), "{length}");
    }
    // A component that never comes.
    let third = bytes.windows(2).rposition(|pair| pair == [0xFF, 0xDA]).unwrap();
    let error = decode_picture(&[&bytes[..third], &[0xFF, 0xD9]].concat(), "two of three", &OPTIONS).unwrap_err();
    assert!(matches!(error, DatasetError::Damaged { .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn damaged_files_in_several_scans_never_panic(
        file_index in 0usize..6, changes in proptest::collection::vec((0usize..2000, any::<u8>()), 1..8),
    ) {
        let names = ["420_y_cb_cr", "420_restarts", "420_y_cbcr", "small_first_progressive", "cmyk", "named_rgb"];
        let mut bytes = file(names[file_index]);
        for (place, value) in changes {
            let place = place % bytes.len();
            bytes[place] = value;
        }
        decode_picture(&bytes, "damaged", &OPTIONS).ok();
    }
}
