//! Tars as data sources: long names, webdataset samples, shards, and files that are damaged or hostile.

mod common;

use std::io::{Seek as _, Write as _};

use common::{flat, folder_of, tar_of};
use tessera_datasets::{DataSource, DatasetError, Loader, LoaderOptions, Source};

fn red() -> Vec<u8> {
    flat(4, [200, 0, 0])
}

fn open(tar: &[u8]) -> Result<Source, DatasetError> {
    let folder = folder_of(&[("data.tar", tar.to_vec())]);
    Source::open(&DataSource::new(folder.path().join("data.tar")), 4)
}

fn keys(source: &Source) -> Vec<String> {
    source.keys().map(str::to_owned).collect()
}

#[test]
fn images_are_found_in_the_order_of_the_tar_and_read_in_place() {
    let files = [("b/2.png", flat(4, [0, 0, 250])), ("notes.md", vec![b'x'; 700]), ("./a/1.png", red())];
    let folder = folder_of(&[("data.tar", tar_of(&files))]);
    let source = Source::open(&DataSource::new(folder.path().join("data.tar")), 4).unwrap();
    assert_eq!(keys(&source), ["b/2.png", "a/1.png"]);
    let colours: Vec<_> = source.pictures().map(|(_, picture)| picture.unwrap().pixel(0, 0).unwrap()).collect();
    assert_eq!(colours, [[0, 0, 250], [200, 0, 0]]);
    assert!(matches!(source.example(2), Err(DatasetError::NoSuchSample { index: 2, len: 2 })));
}

#[test]
fn long_names_are_read_in_both_dialects() {
    let long = format!("{}/{}.png", "folder".repeat(20), "name".repeat(30));
    let gnu = tar_of(&[(long.as_str(), red()), ("after.png", red())]);
    assert_eq!(keys(&open(&gnu).unwrap()), [long.as_str(), "after.png"]);

    let image = red();
    let mut builder = tar::Builder::new(Vec::new());
    let size = image.len().to_string();
    builder.append_pax_extensions([("path", long.as_bytes()), ("size", size.as_bytes())]).unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_size(image.len() as u64);
    builder.append_data(&mut header, "short.png", image.as_slice()).unwrap();
    builder.append_data(&mut header, "after.png", image.as_slice()).unwrap();
    assert_eq!(keys(&open(&builder.into_inner().unwrap()).unwrap()), [long.as_str(), "after.png"]);
}

#[test]
fn a_repeated_member_counts_once_with_its_last_content() {
    let tar = tar_of(&[("a.png", red()), ("b.png", red()), ("a.png", flat(4, [0, 9, 0]))]);
    let folder = folder_of(&[("data.tar", tar)]);
    let source = Source::open(&DataSource::new(folder.path().join("data.tar")), 4).unwrap();
    assert_eq!(keys(&source), ["a.png", "b.png"]);
    assert_eq!(source.example(0).unwrap().picture.pixel(0, 0), Some([0, 9, 0]));
}

#[test]
fn folders_links_and_hidden_files_are_passed_over() {
    let mut builder = tar::Builder::new(Vec::new());
    for name in ["._a.png", ".git/b.png", "a.png"] {
        let mut header = tar::Header::new_gnu();
        header.set_size(red().len() as u64);
        builder.append_data(&mut header, name, red().as_slice()).unwrap();
    }
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_size(0);
    builder.append_data(&mut header, "folder.png/", std::io::empty()).unwrap();
    header.set_entry_type(tar::EntryType::Symlink);
    builder.append_link(&mut header, "link.png", "a.png").unwrap();
    assert_eq!(keys(&open(&builder.into_inner().unwrap()).unwrap()), ["a.png"]);
}

#[test]
fn members_of_a_webdataset_sample_belong_together() {
    let files = [
        ("x/0001.cls", b"7\n".to_vec()),
        ("x/0001.png", red()),
        ("x/0001.txt", b" a red square\n".to_vec()),
        ("x/0001.json", b"{}".to_vec()),
        ("x/0002.left.png", red()),
        ("x/0002.right.png", red()),
        ("x/0002.caption", b"two eyes".to_vec()),
        ("y.dir/0001.png", red()),
        ("y.dir/0001.txt", b"  ".to_vec()),
    ];
    let folder = folder_of(&[("data.tar", tar_of(&files))]);
    let source = Source::open(&DataSource::new(folder.path().join("data.tar")), 4).unwrap();
    let all: Vec<_> = (0..source.len()).map(|index| source.example(index).unwrap()).collect();
    let facts: Vec<_> = all.iter().map(|it| (it.key.as_str(), it.label, it.caption.as_deref())).collect();
    let expected = [
        ("x/0001.png", Some(7), Some("a red square")),
        ("x/0002.left.png", None, Some("two eyes")),
        ("x/0002.right.png", None, Some("two eyes")),
        ("y.dir/0001.png", None, None),
    ];
    assert_eq!(facts, expected);
    assert_eq!(source.classes(), Some(8));
}

#[test]
fn a_class_that_is_no_number_is_refused_by_name() {
    let error = open(&tar_of(&[("1.png", red()), ("1.cls", b"seven".to_vec())])).unwrap_err();
    assert!(matches!(error, DatasetError::Tar { .. }) && error.to_string().contains("seven"), "{error}");
}

#[test]
fn a_caption_that_is_no_text_is_a_damaged_sample() {
    let tar = tar_of(&[("1.png", red()), ("1.txt", vec![0xff, 0xfe]), ("2.png", red()), ("2.txt", vec![b'a'; 70_000])]);
    let folder = folder_of(&[("data.tar", tar)]);
    let source = Source::open(&DataSource::new(folder.path().join("data.tar")), 4).unwrap();
    assert!(matches!(source.example(0), Err(DatasetError::NotText { .. })));
    assert!(matches!(source.example(1), Err(DatasetError::FileTooLarge { .. })));
}

#[test]
fn shards_are_read_in_order_and_all_have_to_be_there() {
    let shard = |name: &str| tar_of(&[(name, red())]);
    let folder =
        folder_of(&[("s-08.tar", shard("8.png")), ("s-09.tar", shard("9.png")), ("s-10.tar", shard("10.png"))]);
    let source = |pattern| Source::open(&DataSource::new(folder.path().join(pattern)), 4);
    assert_eq!(keys(&source("s-{08..10}.tar").unwrap()), ["8.png", "9.png", "10.png"]);
    let error = source("s-{08..11}.tar").unwrap_err();
    assert!(matches!(error, DatasetError::NotFound { .. }) && error.to_string().contains("s-11.tar"), "{error}");
}

#[test]
fn a_tar_cut_anywhere_is_refused() {
    let long = format!("{}.png", "n".repeat(150));
    let whole = tar_of(&[(long.as_str(), red()), ("b.png", flat(64, [1, 2, 3])), ("c.txt", b"hello".to_vec())]);
    let folder = folder_of(&[("data.tar", whole.clone())]);
    let settings = DataSource::new(folder.path().join("data.tar"));
    let file = std::fs::OpenOptions::new().write(true).open(&settings.path).unwrap();
    // One of the two blocks of the end mark is enough. Steps of 7 meet every place inside a block.
    for length in (0..=whole.len()).rev().step_by(7) {
        file.set_len(length as u64).unwrap();
        match Source::open(&settings, 4) {
            Ok(source) => assert!(length >= whole.len() - 512 && source.len() == 2),
            Err(error) => assert!(length < whole.len() - 512 && matches!(error, DatasetError::Tar { .. }), "{error}"),
        }
    }
}

#[test]
fn bytes_changed_anywhere_in_a_header_never_panic() {
    let whole = tar_of(&[("a.png", red()), ("b.cls", b"1".to_vec()), ("b.png", red())]);
    let folder = folder_of(&[("data.tar", whole.clone())]);
    let settings = DataSource::new(folder.path().join("data.tar"));
    // Written over again: some file systems flush a file that is emptied and filled.
    let mut file = std::fs::OpenOptions::new().write(true).open(&settings.path).unwrap();
    // Name, sizes, checksum and kind of each header, and a few places elsewhere.
    let places = |at: &usize| [0, 1].contains(&(at % 512)) || (124..160).contains(&(at % 512)) || at.is_multiple_of(37);
    for at in (0..whole.len()).filter(places) {
        for value in [0, b'7', b'L', b'x', b'S', 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            fix_checksums(&mut bytes);
            file.rewind().unwrap();
            file.write_all(&bytes).unwrap();
            match Source::open(&settings, 4) {
                Ok(source) => source.pictures().for_each(drop),
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
    }
}

/// Makes every block that looks like a header valid again.
fn fix_checksums(bytes: &mut [u8]) {
    for block in bytes.chunks_exact_mut(512).filter(|block| &block[257..262] == b"ustar") {
        let sum: u32 = block[..148].iter().chain(&block[156..]).map(|&byte| u32::from(byte)).sum::<u32>() + 8 * 32;
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}

#[test]
fn absurd_sizes_and_extensions_are_refused_before_memory_is_asked_for() {
    for size in [u64::MAX, u64::MAX - 511, 1 << 62, 1 << 40] {
        let mut bytes = tar_of(&[("a.png", red())]);
        bytes[124] = 0x80;
        bytes[125..128].fill(0);
        bytes[128..136].copy_from_slice(&size.to_be_bytes());
        fix_checksums(&mut bytes);
        assert!(matches!(open(&bytes), Err(DatasetError::Tar { .. })), "{size}");
    }
    for kind in [b'L', b'x'] {
        let mut bytes = tar_of(&[("a.png", vec![b'a'; 2 << 20])]);
        bytes[156] = kind;
        fix_checksums(&mut bytes);
        let error = open(&bytes).unwrap_err();
        assert!(error.to_string().contains("extension"), "{error}");
    }
}

#[test]
fn other_files_are_refused_with_advice() {
    for (bytes, word) in [(&[0x1f, 0x8b][..], "gzip"), (&[0x28, 0xb5, 0x2f, 0xfd], "zstd"), (b"hello", "checksum")] {
        let mut block = bytes.to_vec();
        block.resize(2048, 7);
        let error = open(&block).unwrap_err();
        assert!(matches!(error, DatasetError::Tar { .. }) && error.to_string().contains(word), "{error}");
    }
    assert!(matches!(open(&[]), Err(DatasetError::Tar { .. })));
    assert!(matches!(open(&tar_of(&[("a.txt", vec![])])), Err(DatasetError::NoSamples { .. })));
    let missing = Source::open(&DataSource::new("no/such.tar"), 4).unwrap_err();
    assert!(matches!(missing, DatasetError::NotFound { .. }), "{missing}");
}

#[test]
fn a_tar_that_shrinks_after_opening_is_an_error_of_the_sample() {
    let folder = folder_of(&[("data.tar", tar_of(&[("a.png", red()), ("b.png", red())]))]);
    let path = folder.path().join("data.tar");
    let loader = Loader::new(&[DataSource::new(&path)], LoaderOptions { image_size: 4, ..Default::default() }).unwrap();
    std::fs::write(&path, "short").unwrap();
    assert!(matches!(loader.batch(0), Err(DatasetError::OnlyDamagedSamples { tried: 2, .. })));
}
