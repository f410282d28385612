//! Every file that cannot be a picture is refused by name, and nothing makes the loader panic.

mod common;

use std::fs;
use std::path::Path;

use common::{data, data_bytes, procedural};
use proptest::prelude::*;
use tessera_datasets::{Cmyk, DatasetError, LoadOptions, decode_picture, load_picture, save_png};

fn load(path: impl AsRef<Path>) -> DatasetError {
    load_picture(path, &LoadOptions::default()).unwrap_err()
}

fn decode(bytes: &[u8]) -> DatasetError {
    decode_picture(bytes, "test", &LoadOptions::default()).unwrap_err()
}

#[test]
fn missing_files_and_folders_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let missing = load(folder.path().join("nothing.png"));
    assert!(matches!(missing, DatasetError::NotFound { .. }), "{missing}");
    assert!(missing.to_string().contains("nothing.png"));
    assert!(matches!(load(folder.path()), DatasetError::IsFolder { .. }));
}

#[cfg(unix)]
#[test]
fn a_file_without_permission_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("locked.png");
    save_png(&path, &procedural(2, 2)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    // The superuser may read it all the same; then there is nothing to refuse.
    match (fs::File::open(&path), load_picture(&path, &LoadOptions::default())) {
        (Ok(_), loaded) => assert_eq!(loaded.unwrap(), procedural(2, 2)),
        (Err(_), loaded) => assert!(matches!(loaded, Err(DatasetError::PermissionDenied { .. }))),
    }
}

#[test]
fn a_text_named_png_is_no_image() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.png");
    fs::write(&path, "remember the milk").unwrap();
    let error = load(&path);
    assert!(matches!(error, DatasetError::NotAnImage { found: "plain text", .. }), "{error}");
    let message = error.to_string();
    assert!(message.contains("expected a PNG, JPEG or WebP image") && message.contains("notes.png"), "{message}");
}

#[test]
fn an_empty_file_is_called_empty() {
    assert!(matches!(decode(b""), DatasetError::EmptyFile { .. }));
}

#[test]
fn other_formats_are_named() {
    for (file, expected) in [("picture.gif", "GIF"), ("picture.bmp", "BMP")] {
        let error = load(data(file));
        assert!(matches!(error, DatasetError::UnsupportedFormat { format, .. } if format == expected), "{error}");
    }
}

#[test]
fn a_cmyk_jpeg_is_refused_by_name() {
    for name in ["cmyk.jpg", "ycck.jpg"] {
        let error = load(data(name));
        assert!(matches!(error, DatasetError::CmykJpeg { .. }), "{error}");
        assert!(error.to_string().contains("CMYK"));
    }
}

#[test]
fn files_cut_anywhere_are_refused() {
    let whole = ["palette.png", "grey.png", "smooth.jpg", "progressive.jpg", "lossless.webp", "lossy.webp"];
    for name in whole {
        let bytes = data_bytes(name);
        // A PNG is complete once its pixels are: its last chunk (12 bytes) says nothing.
        let needed = if name.ends_with("png") { bytes.len() - 12 } else { bytes.len() };
        for length in 1..needed {
            let error = decode(&bytes[..length]);
            if length >= 40 {
                let cut = matches!(error, DatasetError::Truncated { .. } | DatasetError::Damaged { .. });
                assert!(cut, "{name} cut to {length}: {error}");
            }
        }
        let most = decode(&bytes[..needed * 3 / 4]);
        assert!(matches!(most, DatasetError::Truncated { .. }), "{name}: {most}");
    }
}

#[test]
fn a_picture_over_the_pixel_limit_is_refused_before_decoding() {
    let options = LoadOptions { max_pixels: 107, ..LoadOptions::default() };
    for name in ["palette.png", "lossless.webp"] {
        let error = decode_picture(&data_bytes(name), name, &options).unwrap_err();
        assert!(matches!(error, DatasetError::TooLarge { width: 12, height: 9, limit: 107, .. }), "{error}");
        let enough = LoadOptions { max_pixels: 108, ..options };
        assert!(decode_picture(&data_bytes(name), name, &enough).is_ok());
    }
}

/// A PNG whose header claims a size and whose data is empty.
fn claiming(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = b"IHDR".to_vec();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([8, 2, 0, 0, 0]);
    for chunk in [&header[..], b"IDAT\x78\x9c\x03\x00\x00\x00\x00\x01", b"IEND"] {
        bytes.extend((chunk.len() as u32 - 4).to_be_bytes());
        bytes.extend(chunk);
        bytes.extend(crc32(chunk).to_be_bytes());
    }
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1)))
    })
}

#[test]
fn a_small_file_that_claims_to_be_enormous_is_refused() {
    for (width, height) in [(100_000, 100_000), (0x7FFF_FFFF, 0x7FFF_FFFF), (0x7FFF_FFFF, 1)] {
        let error = decode(&claiming(width, height));
        assert!(matches!(error, DatasetError::TooLarge { .. }), "{error}");
    }
}

#[test]
fn sizes_of_zero_and_missing_pixels_are_damage() {
    for (width, height) in [(0, 5), (5, 0), (0, 0), (9, 9)] {
        let error = decode(&claiming(width, height));
        let expected = matches!(error, DatasetError::Damaged { .. } | DatasetError::Truncated { .. });
        assert!(expected, "{width}x{height}: {error}");
    }
}

#[test]
fn a_wrong_checksum_is_damage() {
    let mut bytes = data_bytes("grey.png");
    // The first byte of the header's checksum.
    bytes[29] ^= 0x55;
    let error = decode(&bytes);
    assert!(matches!(error, DatasetError::Damaged { format: "PNG", .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn damaged_bytes_never_panic(
        file in 0usize..9, changes in proptest::collection::vec((0usize..2000, any::<u8>()), 1..8),
    ) {
        let names = [
            "palette.png", "palette_transparent.png", "bilevel.png", "smooth.jpg", "progressive.jpg", "cmyk.jpg",
            "ycck.jpg", "lossless.webp", "lossy.webp",
        ];
        let mut bytes = data_bytes(names[file]);
        for (place, value) in changes {
            let place = place % bytes.len();
            bytes[place] = value;
        }
        let options = LoadOptions { max_pixels: 1 << 20, cmyk: Cmyk::Approximate, ..LoadOptions::default() };
        decode_picture(&bytes, "damaged", &options).ok();
    }
}
