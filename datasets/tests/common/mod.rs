//! Shared by the tests: a picture from a formula, and a hash.
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
