//! Shared by the tests: a picture from a formula, a hash, and files made on the spot.
#![allow(dead_code, reason = "every test file uses its own part of this module")]

use std::path::PathBuf;

use tessera_datasets::Picture;

/// The picture of `data/generate.py`: red is smooth, green a checkerboard, blue noisy.
pub fn procedural(width: u32, height: u32) -> Picture {
    let mut rgb = Vec::new();
    for y in 0..u64::from(height) {
        for x in 0..u64::from(width) {
            let red = (x * x + 3 * y * y + x * y / 5) % 256;
            let green = ((x / 7 + y / 5) % 2) * 200 + (x * 3 + y) % 56;
            let blue = ((x * 29) ^ (y * 53)) % 256;
            rgb.extend([red as u8, green as u8, blue as u8]);
        }
    }
    Picture::new(width, height, rgb).unwrap()
}

/// FNV-1a, 64 bits.
pub fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A file of `tests/data`.
pub fn data(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "data", name].iter().collect()
}

/// The bytes of a file of `tests/data`.
pub fn data_bytes(name: &str) -> Vec<u8> {
    std::fs::read(data(name)).unwrap()
}

/// A PNG file of these pixels, three or four bytes each.
pub fn png(width: u32, height: u32, pixels: &[u8]) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let colour = match pixels.len() / (width * height) as usize {
        3 => image::ExtendedColorType::Rgb8,
        _ => image::ExtendedColorType::Rgba8,
    };
    image::write_buffer_with_format(&mut bytes, pixels, width, height, colour, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A PNG file of one colour.
pub fn flat(side: u32, colour: [u8; 3]) -> Vec<u8> {
    png(side, side, &colour.repeat((side * side) as usize))
}

/// A tar of these files.
pub fn tar_of<N: AsRef<str>>(files: &[(N, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name.as_ref(), bytes.as_slice()).unwrap();
    }
    builder.into_inner().unwrap()
}

/// A folder with these files in it.
pub fn folder_of<N: AsRef<str>>(files: &[(N, Vec<u8>)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name.as_ref());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    folder
}
