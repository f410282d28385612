//! What a source makes of pixels: fitting, compositing, random windows, mirroring.

mod common;

use common::{flat, folder_of, png, procedural};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use tessera_datasets::{Background, Crop, DataSource, Filter, Picture, Preprocess, Sample, Source, psnr, save_png};

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// The source of one picture.
fn one(file: Vec<u8>, size: u32, change: impl Fn(&mut DataSource)) -> (tempfile::TempDir, Source) {
    let folder = folder_of(&[("a.png", file)]);
    let mut settings = DataSource::new(folder.path());
    change(&mut settings);
    let source = Source::open(&settings, size).unwrap();
    (folder, source)
}

fn file_of(picture: &Picture) -> Vec<u8> {
    png(picture.width(), picture.height(), picture.rgb())
}

fn picture_of(sample: &Sample, size: u32) -> Picture {
    Picture::from_planar_f32(&sample.image, size, size).unwrap()
}

/// Transparent noise: colours and alpha of every kind.
fn noise(width: u32, height: u32) -> Vec<u8> {
    let pixel = |at: u32| [at * 7 % 256, at * 31 % 256, at * at % 256, (at * 13 + at / 9) % 256].map(|it| it as u8);
    (0..width * height).flat_map(pixel).collect()
}

/// `rgb * alpha + background * (1 - alpha)` of one channel, in [0, 1].
fn over(pixel: &[u8], channel: usize, background: [u8; 3]) -> f64 {
    let alpha = f64::from(pixel[3]) / 255.0;
    (f64::from(pixel[channel]) * alpha + f64::from(background[channel]) * (1.0 - alpha)) / 255.0
}

#[test]
fn an_integral_factor_averages_blocks_after_compositing() {
    let pixels = noise(8, 8);
    for (setting, colour) in
        [(Background::White, [255; 3]), (Background::Black, [0; 3]), (Background::Colour([10, 200, 77]), [10, 200, 77])]
    {
        for (size, block) in [(8, 1), (4, 2), (2, 4)] {
            let (_folder, source) = one(png(8, 8, &pixels), size, |it| it.background = setting);
            let sample = source.load(0, &mut rng(1)).unwrap();
            for (place, value) in sample.image.iter().enumerate() {
                let size = size as usize;
                let (channel, y, x) = (place / (size * size), place / size % size, place % size);
                let inside = (0..block * block).map(|at| (y * block + at / block) * 8 + x * block + at % block);
                let sum: f64 = inside.map(|at| over(&pixels[at * 4..at * 4 + 4], channel, colour)).sum();
                let mean = sum / (block * block) as f64;
                assert!((f64::from(*value) - mean).abs() < 2e-5, "{setting:?} {size} {place}: {value} {mean}");
            }
        }
    }
}

#[test]
fn the_middle_of_a_wide_picture_is_averaged_too() {
    let picture = procedural(24, 8);
    let (_folder, source) = one(file_of(&picture), 4, |_| ());
    let middle = tessera_datasets::center_crop(&picture, 8).unwrap();
    let expected = tessera_datasets::resize(&middle, 4, 4, Filter::Box).unwrap();
    // The resampler rounds twice, the mean here once.
    let found = source.example(0).unwrap().picture;
    assert!(expected.rgb().iter().zip(found.rgb()).all(|(a, b)| a.abs_diff(*b) <= 1));
}

#[test]
fn other_sizes_are_fitted_as_every_model_input_is() {
    let picture = procedural(50, 37);
    let (_folder, source) = one(file_of(&picture), 16, |_| ());
    let expected = Preprocess::square(16, Filter::Bicubic).apply(&picture).unwrap();
    assert_eq!(source.example(0).unwrap().picture, expected);
    assert_eq!(source.load(0, &mut rng(5)).unwrap().image, expected.to_planar_f32());
    // A small picture is enlarged.
    let small = procedural(5, 6);
    let (_folder, source) = one(file_of(&small), 16, |_| ());
    assert_eq!(source.example(0).unwrap().picture, Preprocess::square(16, Filter::Bicubic).apply(&small).unwrap());
}

#[test]
fn transparency_is_resized_as_if_composited_before() {
    let (width, height) = (30, 23);
    let smooth = |at: u32| {
        let (x, y) = (at % width, at / width);
        [x * 8, y * 11, (x + y) * 4, 255 - x * 3 - y * 5].map(|it| it as u8)
    };
    let pixels: Vec<u8> = (0..width * height).flat_map(smooth).collect();
    let (folder, source) = one(png(width, height, &pixels), 10, |it| it.background = Background::Colour([90, 0, 255]));
    let options = tessera_datasets::LoadOptions { background: [90, 0, 255], ..Default::default() };
    let whole = tessera_datasets::load_picture(folder.path().join("a.png"), &options).unwrap();
    let expected = Preprocess::square(10, Filter::Bicubic).apply(&whole).unwrap();
    let found = source.example(0).unwrap().picture;
    assert!(psnr(&expected, &found).unwrap() > 50.0);
    assert_eq!(source.pictures().next().unwrap().1.unwrap(), whole);
}

#[test]
fn random_backgrounds_differ_and_evaluation_stays_white() {
    let clear = png(4, 4, &[1, 2, 3, 0].repeat(16));
    for crop in [Crop::Fit, Crop::Random] {
        let (_folder, source) = one(clear.clone(), 2, |it| {
            it.background = Background::RandomFlat;
            it.crop = crop;
        });
        let colours: std::collections::BTreeSet<_> =
            (0..20).map(|seed| picture_of(&source.load(0, &mut rng(seed)).unwrap(), 2).pixel(0, 0).unwrap()).collect();
        assert!(colours.len() > 15, "{colours:?}");
        assert_eq!(source.example(0).unwrap().picture.pixel(1, 1), Some([255; 3]));
    }
}

#[test]
fn random_windows_composite_as_fitting_does() {
    // One flat, half transparent colour: every window shows the same.
    let (_folder, source) = one(png(64, 48, &[200, 100, 0, 128].repeat(64 * 48)), 8, |it| {
        it.crop = Crop::Random;
        it.background = Background::Colour([0, 50, 250]);
    });
    let expected = [0, 1, 2].map(|channel| over(&[200, 100, 0, 128], channel, [0, 50, 250]) * 255.0);
    for seed in 0..20 {
        for colour in picture_of(&source.load(0, &mut rng(seed)).unwrap(), 8).rgb().as_chunks::<3>().0 {
            assert!(colour.iter().zip(expected).all(|(&found, expected)| (f64::from(found) - expected).abs() <= 1.5));
        }
    }
}

/// Red grows to the right, green downwards, so that a window tells where it comes from and how wide it is.
fn ramps(width: u32, height: u32) -> Picture {
    let pixel = |at: u32| [(at % width) as u8, (at / width) as u8, 0];
    Picture::new(width, height, (0..width * height).flat_map(pixel).collect()).unwrap()
}

#[test]
fn random_windows_have_every_scale_and_place_and_square_pixels() {
    let size = 16;
    let (_folder, source) = one(file_of(&ramps(250, 200)), size, |it| {
        it.crop = Crop::Random;
        it.scales = [1.0, 8.0];
    });
    let (mut small, mut large) = (0, 0);
    let (mut left_most, mut right_most): (f32, f32) = (1.0, 0.0);
    for seed in 0..300 {
        let image = source.load(0, &mut rng(seed)).unwrap().image;
        let at = |channel: usize, y: usize, x: usize| image[(channel * 16 + y) * 16 + x] * 255.0;
        // Away from the edges, where the filter is cut off; ten pixels apart.
        let (wide, high) = ((at(0, 8, 13) - at(0, 8, 3)) / 10.0, (at(1, 13, 8) - at(1, 3, 8)) / 10.0);
        assert!((wide - high).abs() < 0.25, "{wide} {high}");
        assert!((0.95..8.2).contains(&wide), "{wide}");
        small += usize::from(wide < 1.5);
        large += usize::from(wide > 5.0);
        left_most = left_most.min(at(0, 8, 0) / 255.0);
        right_most = right_most.max(at(0, 8, 15) / 255.0);
    }
    // Log-evenly: ln 1.5 / ln 8 = 0.19 and ln 1.6 / ln 8 = 0.23 of 300.
    assert!((35..85).contains(&small) && (40..100).contains(&large), "{small} {large}");
    assert!(left_most < 0.05 && right_most > 0.92, "{left_most} {right_most}");
}

#[test]
fn windows_are_neither_enlarged_nor_larger_than_the_picture() {
    // Scales below 1 and far above the picture: the window is the size, or everything.
    let picture = ramps(40, 32);
    let (_folder, source) = one(file_of(&picture), 16, |it| {
        it.crop = Crop::Random;
        it.scales = [0.1, 0.5];
    });
    let found = picture_of(&source.load(0, &mut rng(3)).unwrap(), 16);
    let [left, top, _] = found.pixel(0, 0).unwrap();
    assert_eq!(found, tessera_datasets::crop(&picture, left.into(), top.into(), 16, 16).unwrap());

    let square = ramps(32, 32);
    let (_folder, source) = one(file_of(&square), 16, |it| {
        it.crop = Crop::Random;
        it.scales = [100.0, 200.0];
    });
    let found = picture_of(&source.load(0, &mut rng(3)).unwrap(), 16);
    assert!(psnr(&found, &tessera_datasets::resize(&square, 16, 16, Filter::Bicubic).unwrap()).unwrap() > 50.0);

    let small = ramps(9, 9);
    let (_folder, source) = one(file_of(&small), 16, |it| it.crop = Crop::Random);
    let found = picture_of(&source.load(0, &mut rng(3)).unwrap(), 16);
    assert_eq!(found, tessera_datasets::resize(&small, 16, 16, Filter::Bicubic).unwrap());
}

#[test]
fn fine_stripes_do_not_alias() {
    // Stripes of one pixel: shrunk by 4 or more they are even grey.
    let stripes: Vec<u8> = (0..256 * 256).flat_map(|at: u32| [if at.is_multiple_of(2) { 255 } else { 0 }; 3]).collect();
    let (_folder, source) = one(png(256, 256, &stripes), 16, |it| {
        it.crop = Crop::Random;
        it.scales = [4.0, 16.0];
    });
    for seed in 0..50 {
        let image = source.load(0, &mut rng(seed)).unwrap().image;
        assert!(image.iter().all(|value| (value - 0.5).abs() < 0.02), "{seed}");
    }
}

#[test]
fn half_of_the_samples_are_mirrored_except_those_that_must_not_be() {
    let half = png(2, 2, &[0, 0, 0, 255, 255, 255, 0, 0, 0, 255, 255, 255]);
    let files = ["letter.png", "face.png", "clock.png"].map(|name| (name, half.clone()));
    let folder = folder_of(&files);
    let labels = folder.path().join("labels.csv");
    let table = "file,group,subgroup\nletter.png,symbols,a\nface.png,people,b\nclock.png,travel,time\n";
    std::fs::write(&labels, table).unwrap();
    let settings = DataSource {
        labels: Some(labels),
        flip: true,
        no_flip: vec!["group=symbols".into(), "subgroup=time".into()],
        ..DataSource::new(folder.path())
    };
    let source = Source::open(&settings, 2).unwrap();
    let mirrored = |index| (0..200).filter(|&seed| source.load(index, &mut rng(seed)).unwrap().image[0] == 1.0).count();
    let of = |key: &str| mirrored(source.keys().position(|found| found == key).unwrap());
    assert_eq!((of("letter.png"), of("clock.png")), (0, 0));
    assert!((70..130).contains(&of("face.png")));
}

#[test]
fn pictures_come_lazily_and_damaged_ones_say_why() {
    let folder = folder_of(&[("a.png", b"no image".to_vec()), ("b.png", flat(3, [1, 2, 3]))]);
    save_png(folder.path().join("c.png"), &procedural(7, 5)).unwrap();
    let source = Source::open(&DataSource::new(folder.path()), 8).unwrap();
    let mut pictures = source.pictures();
    assert_eq!(pictures.len(), 3);
    assert!(matches!(pictures.next(), Some(("a.png", Err(_)))));
    assert_eq!(pictures.next().unwrap().1.unwrap().width(), 3);
    assert_eq!(pictures.next().unwrap().1.unwrap(), procedural(7, 5));
}
