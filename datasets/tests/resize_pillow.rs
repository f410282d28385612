//! The 8-bit resampler against hashes of Pillow's output (made by `data/generate.py`).

mod common;

use common::{fnv1a, procedural};
use proptest::prelude::*;
use tessera_datasets::{DatasetError, Filter, MAX_PIXELS, MAX_RESIZE_SIDE, Picture, resize};

type Size = (u32, u32);

/// Source size, target size, filter, FNV-1a of Pillow's bytes.
#[rustfmt::skip]
const PILLOW_13_0: [(Size, Size, Filter, u64); 48] = [
    ((61, 43), (32, 32), Filter::Box, 0xb3fd9778b7dfa481),
    ((61, 43), (32, 32), Filter::Bilinear, 0x26d73b297463128b),
    ((61, 43), (32, 32), Filter::Bicubic, 0xcb7b241464e585cc),
    ((61, 43), (32, 32), Filter::Lanczos3, 0x6b084eaf6b072cca),
    ((61, 43), (97, 61), Filter::Box, 0xeb09ee0b7a727ebe),
    ((61, 43), (97, 61), Filter::Bilinear, 0xb5cb1624011b1067),
    ((61, 43), (97, 61), Filter::Bicubic, 0x4015c36fea461cef),
    ((61, 43), (97, 61), Filter::Lanczos3, 0x383ec2662ac519e2),
    ((61, 43), (7, 100), Filter::Box, 0x833685c7cbe22d15),
    ((61, 43), (7, 100), Filter::Bilinear, 0x8521ed4bba8b699f),
    ((61, 43), (7, 100), Filter::Bicubic, 0x7506cb5d143dcb79),
    ((61, 43), (7, 100), Filter::Lanczos3, 0xb21694f318ce7cc9),
    ((61, 43), (1, 1), Filter::Box, 0xaddc5d1975af1b3f),
    ((61, 43), (1, 1), Filter::Bilinear, 0xa32734196f09ea94),
    ((61, 43), (1, 1), Filter::Bicubic, 0xa32734196f09ea94),
    ((61, 43), (1, 1), Filter::Lanczos3, 0xa32734196f09ea94),
    ((61, 43), (61, 20), Filter::Box, 0xf9643e0991b6f5b4),
    ((61, 43), (61, 20), Filter::Bilinear, 0x7429cafcc280df5a),
    ((61, 43), (61, 20), Filter::Bicubic, 0x4c72634d9c7caeea),
    ((61, 43), (61, 20), Filter::Lanczos3, 0x17b5ef6393ed37aa),
    ((61, 43), (20, 43), Filter::Box, 0x4a1e54cf1684db4f),
    ((61, 43), (20, 43), Filter::Bilinear, 0x3194d8535e12e76c),
    ((61, 43), (20, 43), Filter::Bicubic, 0xcbba99cbbe1da2d1),
    ((61, 43), (20, 43), Filter::Lanczos3, 0x2bb8b7c145d5ac80),
    ((613, 431), (256, 256), Filter::Box, 0x7d312328b576e3ce),
    ((613, 431), (256, 256), Filter::Bilinear, 0x72eb3be7e23491ad),
    ((613, 431), (256, 256), Filter::Bicubic, 0x2af365de322f5ae9),
    ((613, 431), (256, 256), Filter::Lanczos3, 0xa96ba6e86a977c4a),
    ((613, 431), (97, 61), Filter::Box, 0x5c1f452b3ca38df9),
    ((613, 431), (97, 61), Filter::Bilinear, 0xe49b0dce2a5d9b7c),
    ((613, 431), (97, 61), Filter::Bicubic, 0x14735dba5ec8238f),
    ((613, 431), (97, 61), Filter::Lanczos3, 0xfcd52cea4debb13c),
    ((613, 431), (500, 700), Filter::Box, 0xdf2398eb9e8c4fea),
    ((613, 431), (500, 700), Filter::Bilinear, 0x7f97c3da38c8038d),
    ((613, 431), (500, 700), Filter::Bicubic, 0x4b519464b9693e66),
    ((613, 431), (500, 700), Filter::Lanczos3, 0xc08ca2ed46b9a033),
    ((3000, 1), (7, 3), Filter::Box, 0xd8b3f55013ae77a9),
    ((3000, 1), (7, 3), Filter::Bilinear, 0x9771febadc769581),
    ((3000, 1), (7, 3), Filter::Bicubic, 0xd609d5058da3812a),
    ((3000, 1), (7, 3), Filter::Lanczos3, 0xd0ada1b73a301243),
    ((3000, 1), (1, 64), Filter::Box, 0x1b2261deabbd7da5),
    ((3000, 1), (1, 64), Filter::Bilinear, 0x1b2261deabbd7da5),
    ((3000, 1), (1, 64), Filter::Bicubic, 0x1b2261deabbd7da5),
    ((3000, 1), (1, 64), Filter::Lanczos3, 0x1b2261deabbd7da5),
    ((1, 1), (5, 4), Filter::Box, 0xf87b38c6cf34ac55),
    ((1, 1), (5, 4), Filter::Bilinear, 0xf87b38c6cf34ac55),
    ((1, 1), (5, 4), Filter::Bicubic, 0xf87b38c6cf34ac55),
    ((1, 1), (5, 4), Filter::Lanczos3, 0xf87b38c6cf34ac55),
];

fn reproduces(filter: Filter) {
    let cases = PILLOW_13_0.iter().filter(|case| case.2 == filter);
    let mut wrong = Vec::new();
    for &(source, target, filter, expected) in cases {
        let ours = resize(&procedural(source.0, source.1), target.0, target.1, filter).unwrap();
        assert_eq!((ours.width(), ours.height()), target);
        if fnv1a(ours.rgb()) != expected {
            wrong.push((source, target));
        }
    }
    assert!(wrong.is_empty(), "{filter:?} differs from Pillow for {wrong:?}");
}

#[test]
fn pillow_box_is_reproduced_to_the_bit() {
    reproduces(Filter::Box);
}

#[test]
fn pillow_bilinear_is_reproduced_to_the_bit() {
    reproduces(Filter::Bilinear);
}

#[test]
fn pillow_bicubic_is_reproduced_to_the_bit() {
    reproduces(Filter::Bicubic);
}

#[test]
fn pillow_lanczos_is_reproduced_to_the_bit() {
    reproduces(Filter::Lanczos3);
}

#[test]
fn the_same_size_is_the_same_picture() {
    let picture = procedural(37, 21);
    assert_eq!(resize(&picture, 37, 21, Filter::Lanczos3).unwrap(), picture);
}

#[test]
fn a_zero_target_is_refused() {
    let picture = procedural(3, 3);
    for (width, height) in [(0, 3), (3, 0)] {
        let error = resize(&picture, width, height, Filter::Box).unwrap_err();
        assert!(matches!(error, DatasetError::Zero { .. }), "{error}");
    }
}

#[test]
fn results_and_intermediates_over_the_limit_are_refused_before_memory_is_asked_for() {
    let too_large = |picture: &Picture, width, height| {
        let error = resize(picture, width, height, Filter::Bicubic).unwrap_err();
        assert!(matches!(error, DatasetError::TooLarge { limit: MAX_PIXELS, .. }), "{error}");
    };
    too_large(&procedural(3, 3), 20_000, 20_000);
    too_large(&procedural(3, 3), u32::MAX, u32::MAX);
    // The result is small, but 50,000 columns times 30,000 old rows lie in between.
    too_large(&procedural(1, 30_000), 50_000, 1);
    let long = resize(&procedural(1, 1), MAX_RESIZE_SIDE + 1, 1, Filter::Box).unwrap_err();
    assert!(matches!(long, DatasetError::SideTooLong { .. }), "{long}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn one_colour_stays_one_colour(
        colour: [u8; 3], from in (1u32..40, 1u32..40), to in (1u32..40, 1u32..40), index in 0usize..4,
    ) {
        let filter = [Filter::Box, Filter::Bilinear, Filter::Bicubic, Filter::Lanczos3][index];
        let flat = Picture::filled(from.0, from.1, colour).unwrap();
        let ours = resize(&flat, to.0, to.1, filter).unwrap();
        prop_assert_eq!(ours, Picture::filled(to.0, to.1, colour).unwrap());
    }
}
