//! Batches: the same for every number of threads and every way to ask, complete epochs, shares, damaged files, memory.

mod common;

use std::collections::HashMap;

use common::{flat, folder_of, png, procedural, tar_of};
use tessera_datasets::{Background, Batch, Crop, DataSource, DatasetError, Loader, LoaderOptions};

fn options() -> LoaderOptions {
    LoaderOptions { image_size: 8, batch_size: 6, seed: 11, ..LoaderOptions::default() }
}

/// A folder of seven photos to crop at random, and a tar of five transparent icons.
fn mixture() -> (tempfile::TempDir, Vec<DataSource>) {
    let icons: Vec<_> =
        (0..5).map(|number| (format!("{number}.png"), png(16, 16, &[number * 50, 9, 200, 100].repeat(256)))).collect();
    let mut files: Vec<_> = (0..7)
        .map(|number| {
            let photo = procedural(40 + number, 30);
            (format!("photos/{number}.png"), png(40 + number, 30, photo.rgb()))
        })
        .collect();
    files.push(("icons.tar".to_owned(), tar_of(&icons)));
    let folder = folder_of(&files);
    let photos =
        DataSource { crop: Crop::Random, flip: true, weight: 3.0, ..DataSource::new(folder.path().join("photos")) };
    let icons = DataSource { background: Background::RandomFlat, ..DataSource::new(folder.path().join("icons.tar")) };
    (folder, vec![photos, icons])
}

fn batches(loader: &Loader, count: u64) -> Vec<Batch> {
    (0..count).map(|index| loader.batch(index).unwrap()).collect()
}

#[test]
fn threads_cache_prefetch_and_the_way_to_ask_change_nothing() {
    let (_folder, sources) = mixture();
    let expected =
        batches(&Loader::new(&sources, LoaderOptions { workers: 1, cache_mib: 0, ..options() }).unwrap(), 12);
    for (workers, cache_mib, prefetch) in [(1, 64, 1), (2, 1, 3), (5, 64, 4), (0, 0, 2)] {
        let loader = Loader::new(&sources, LoaderOptions { workers, cache_mib, prefetch, ..options() }).unwrap();
        // Backwards first: the cache is then full of other samples.
        for index in (0..12).rev().step_by(3) {
            assert_eq!(loader.batch(index).unwrap(), expected[index as usize]);
        }
        let mut stream = loader.stream(0).unwrap();
        expected.iter().for_each(|batch| assert_eq!(&stream.next().unwrap(), batch));
        // A run that resumes.
        let mut stream = loader.stream(7).unwrap();
        expected[7..].iter().for_each(|batch| assert_eq!(&stream.next().unwrap(), batch));
        assert!(stream.waited() > std::time::Duration::ZERO);
    }
}

#[test]
fn another_seed_gives_other_batches() {
    let (_folder, sources) = mixture();
    let one = Loader::new(&sources, options()).unwrap().batch(0).unwrap();
    let other = Loader::new(&sources, LoaderOptions { seed: 12, ..options() }).unwrap().batch(0).unwrap();
    assert_ne!(one.keys, other.keys);
    assert_ne!(one.images, other.images);
}

#[test]
fn a_sample_looks_different_in_every_epoch() {
    let folder = folder_of(&[("a.png", png(40, 40, procedural(40, 40).rgb()))]);
    let source = DataSource { crop: Crop::Random, ..DataSource::new(folder.path()) };
    let batch = Loader::new(&[source], options()).unwrap().batch(0).unwrap();
    let pictures: Vec<_> = batch.images.chunks_exact(3 * 64).collect();
    assert!((1..6).all(|place| pictures[0] != pictures[place]));
}

#[test]
fn batches_have_the_stated_shapes_and_values() {
    let (_folder, sources) = mixture();
    let loader = Loader::new(&sources, options()).unwrap();
    let batch = loader.batch(3).unwrap();
    assert_eq!((batch.index, batch.batch_size, batch.image_size), (3, 6, 8));
    assert_eq!(batch.images.len(), 6 * 3 * 8 * 8);
    assert_eq!((batch.keys.len(), batch.labels.len(), batch.captions.len()), (6, 6, 6));
    assert!(batch.images.iter().all(|value| (0.0..=1.0).contains(value)));
}

#[test]
fn an_epoch_has_every_sample_once_and_the_next_another_order() {
    let files: Vec<_> = (0..30).map(|number| (format!("{number:02}.png"), flat(4, [number; 3]))).collect();
    let folder = folder_of(&files);
    let loader =
        Loader::new(&[DataSource::new(folder.path())], LoaderOptions { image_size: 4, batch_size: 10, ..options() })
            .unwrap();
    let epoch = |number: u64| -> Vec<String> {
        (3 * number..3 * number + 3).flat_map(|index| loader.batch(index).unwrap().keys).collect()
    };
    let orders: Vec<_> = (0..5).map(epoch).collect();
    for order in &orders {
        let mut sorted = order.clone();
        sorted.sort();
        assert!(sorted.iter().eq(loader.sources()[0].keys().collect::<Vec<_>>()));
        assert_ne!(order, &sorted);
    }
    assert!((1..5).all(|number| orders[0] != orders[number]));
    assert_eq!(loader.epochs(3), [1.0]);
    assert_eq!(loader.epochs(4), [1.0 + 10.0 / 30.0]);
}

#[test]
fn sources_have_their_shares_and_epochs_count_each() {
    let (_folder, sources) = mixture();
    let loader = Loader::new(&sources, options()).unwrap();
    let epochs = loader.epochs(100);
    assert!((epochs[0] * 7.0 - 450.0).abs() <= 1.0 && (epochs[1] * 5.0 - 150.0).abs() <= 1.0, "{epochs:?}");
}

#[test]
fn keys_of_a_mixture_come_in_proportion() {
    let one = folder_of(&[("one.png", flat(4, [1; 3]))]);
    let two = folder_of(&[("two.png", flat(4, [2; 3]))]);
    let sources = [DataSource::new(one.path()), DataSource { weight: 3.0, ..DataSource::new(two.path()) }];
    let loader = Loader::new(&sources, LoaderOptions { batch_size: 8, ..options() }).unwrap();
    for batch in batches(&loader, 20) {
        let ones = batch.keys.iter().filter(|key| *key == "one.png").count();
        assert!((1..=3).contains(&ones), "{:?}", batch.keys);
    }
}

#[test]
fn damaged_files_are_named_and_replaced_the_same_in_every_run() {
    let mut files: Vec<_> = (0..9).map(|number| (format!("{number}.png"), flat(8, [number; 3]))).collect();
    files[3].1 = b"no image at all".to_vec();
    files[6].1.truncate(20);
    files[7].1.clear();
    let folder = folder_of(&files);
    let sources = [DataSource::new(folder.path())];
    let loader = Loader::new(&sources, options()).unwrap();
    let expected = batches(&loader, 6);
    let mut counts = HashMap::new();
    for key in expected.iter().flat_map(|batch| &batch.keys) {
        *counts.entry(key.as_str()).or_insert(0) += 1;
    }
    // Four epochs: each good file at least four times, the damaged ones never.
    assert_eq!(counts.len(), 6);
    assert!(counts.values().all(|&count| count >= 4), "{counts:?}");
    let skipped = loader.skipped();
    assert_eq!(skipped.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["3.png", "6.png", "7.png"]);
    assert!(skipped.iter().all(|(key, reason)| reason.contains(key.as_str())), "{skipped:?}");

    // Whatever was met before, and in whatever order.
    let again = Loader::new(&sources, LoaderOptions { workers: 3, ..options() }).unwrap();
    for index in [4, 1, 5, 0, 3, 2] {
        assert_eq!(again.batch(index).unwrap(), expected[index as usize]);
    }
}

#[test]
fn a_strict_loader_stops_at_a_damaged_file() {
    let folder = folder_of(&[("good.png", flat(8, [1; 3])), ("bad.png", b"no image".to_vec())]);
    let sources = [DataSource::new(folder.path())];
    let loader = Loader::new(&sources, LoaderOptions { strict: true, ..options() }).unwrap();
    let error = loader.batch(0).unwrap_err();
    assert!(matches!(&error, DatasetError::NotAnImage { name, .. } if name.ends_with("bad.png")), "{error}");
    let mut stream = loader.stream(0).unwrap();
    assert!(matches!(stream.next(), Err(DatasetError::NotAnImage { .. })));
    assert!(matches!(stream.next(), Err(DatasetError::StreamEnded)));
    assert!(matches!(stream.next(), Err(DatasetError::StreamEnded)));
}

#[test]
fn a_source_of_damaged_files_only_ends_the_run() {
    let files: Vec<_> = (0..300).map(|number| (format!("{number}.png"), vec![])).collect();
    let folder = folder_of(&files);
    let loader = Loader::new(&[DataSource::new(folder.path())], options()).unwrap();
    assert!(matches!(loader.batch(0), Err(DatasetError::OnlyDamagedSamples { tried: 256, .. })));
}

#[test]
fn the_cache_stays_within_its_limit() {
    // Each takes 300 * 300 * 3 bytes and a third for its smaller levels, so that four do not fit.
    let files: Vec<_> =
        (0..6).map(|number| (format!("{number}.png"), png(300, 300, &[number; 3 * 300 * 300]))).collect();
    let folder = folder_of(&files);
    let source = DataSource { crop: Crop::Random, ..DataSource::new(folder.path()) };
    let loader = Loader::new(std::slice::from_ref(&source), LoaderOptions { cache_mib: 1, ..options() }).unwrap();
    for index in 0..10 {
        loader.batch(index).unwrap();
        let held = loader.cached_bytes();
        assert!(held <= 1 << 20 && held > 1 << 19, "{held}");
    }
    let none = Loader::new(&[source], LoaderOptions { cache_mib: 0, ..options() }).unwrap();
    none.batch(0).unwrap();
    assert_eq!(none.cached_bytes(), 0);
}

#[test]
fn a_stream_waits_for_its_reader_and_ends_with_it() {
    let (_folder, sources) = mixture();
    let loader = Loader::new(&sources, LoaderOptions { prefetch: 1, ..options() }).unwrap();
    // Dropped at once, and dropped with batches waiting.
    drop(loader.stream(0).unwrap());
    let mut stream = loader.stream(u64::MAX - 5).unwrap();
    assert_eq!(stream.next().unwrap().index, u64::MAX - 5);
    drop(stream);
}

#[test]
fn the_last_indices_are_batches_like_any_other() {
    let (_folder, sources) = mixture();
    let loader = Loader::new(&sources, options()).unwrap();
    assert_eq!(loader.batch(u64::MAX).unwrap().keys.len(), 6);
    let mut stream = loader.stream(u64::MAX).unwrap();
    assert_eq!(stream.next().unwrap().index, u64::MAX);
    assert!(matches!(stream.next(), Err(DatasetError::StreamEnded)));
}

#[test]
fn wrong_options_are_refused_by_name() {
    let (_folder, sources) = mixture();
    let refused = |options| match Loader::new(&sources, options) {
        Err(DatasetError::Setting { setting, .. }) => setting,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(LoaderOptions { image_size: 0, ..options() }), "image_size");
    assert_eq!(refused(LoaderOptions { batch_size: 0, ..options() }), "batch_size");
    assert_eq!(refused(LoaderOptions { batch_size: usize::MAX, ..options() }), "batch_size");
    assert_eq!(refused(LoaderOptions { image_size: u32::MAX, ..options() }), "batch_size");
    assert_eq!(refused(LoaderOptions { prefetch: 0, ..options() }), "prefetch");
    assert_eq!(refused(LoaderOptions { workers: 1 << 40, ..options() }), "workers");
    assert!(matches!(Loader::new(&[], options()), Err(DatasetError::NoSources)));
}
