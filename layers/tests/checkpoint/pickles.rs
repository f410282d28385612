//! Pickles that were written to harm.

use std::fs;
use std::io::Write as _;

use tessera_layers::checkpoint::{CheckpointError, Weights};

use super::support::peak_bytes;

/// Reading such a file takes no more than a few times what a small checkpoint takes.
const MOST_BYTES: isize = 96 << 20;

/// A zip container of a pickle and one storage of four numbers.
fn archive(pickle: &[u8]) -> Vec<u8> {
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in [("m/data.pkl", pickle), ("m/version", b"3\n"), ("m/data/0", &[0; 16])] {
        writer.start_file(name, stored).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// The five pickles and the storage of PyTorch before 1.6.
fn legacy(pickle: &[u8]) -> Vec<u8> {
    let head = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.";
    let tail = [b"\x80\x02]U\x010a.".as_slice(), &4_u64.to_le_bytes(), &[0; 16]].concat();
    [head.as_slice(), pickle, &tail].concat()
}

/// Opens and reads all of both containers of a pickle; returns what they were refused with.
fn open_both(pickle: &[u8]) -> Vec<Option<CheckpointError>> {
    let folder = tempfile::tempdir().unwrap();
    [("m.pt", archive(pickle)), ("m.pth", legacy(pickle))]
        .into_iter()
        .map(|(name, bytes)| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            let mut outcome = None;
            let peak = peak_bytes(|| {
                let read = Weights::open(&path).and_then(|weights| {
                    weights.entries().iter().try_for_each(|entry| weights.read_f32(&entry.name).map(drop))
                });
                outcome = read.err();
            });
            assert!(peak < MOST_BYTES, "{name}: {peak} bytes");
            outcome
        })
        .collect()
}

fn refused(what: &str, pickle: &[u8]) {
    for error in open_both(pickle) {
        assert!(error.is_some(), "{what} passed");
    }
}

/// A tensor of this shape and these strides on four numbers, that says it has `claimed`; as the value of "w".
fn tensor(shape: &[u8], strides: &[u8], claimed: &[u8]) -> Vec<u8> {
    [
        b"\x80\x02}U\x01wctorch._utils\n_rebuild_tensor_v2\n((U\x07storagectorch\nFloatStorage\nU\x010U\x03cpu"
            .as_slice(),
        claimed,
        // A legacy tuple has six members, the last of them absent.
        b"tQK\x00",
        shape,
        strides,
        b"\x89ccollections\nOrderedDict\n)RtRs.",
    ]
    .concat()
}

#[test]
fn the_sound_one_passes() {
    let pickle = tensor(b"(K\x02K\x02t", b"(K\x02K\x01t", b"K\x04");
    assert!(open_both(&pickle)[0].is_none(), "{:?}", open_both(&pickle));
}

#[test]
fn nesting_without_end_is_refused() {
    let deep = |opening: &[u8], closing: &[u8]| {
        [b"\x80\x02".as_slice(), &opening.repeat(200_000), b"N", &closing.repeat(200_000), b"."].concat()
    };
    refused("tuples in tuples", &deep(b"(", b"t"));
    refused("tuples of one", &deep(b"", b"\x85"));
    refused("lists in lists", &deep(b"](", b"e"));
    refused("dictionaries in dictionaries", &deep(b"}U\x01k", b"s"));
    refused(
        "calls in calls",
        &[b"\x80\x02".as_slice(), &b"ccollections\nOrderedDict\n(".repeat(50_000), &b"tR".repeat(50_000), b"."]
            .concat(),
    );
}

#[test]
fn what_holds_itself_is_refused() {
    refused("a list of itself", b"\x80\x02]q\x00h\x00a.");
    refused("a dictionary of itself", b"\x80\x02}q\x00U\x01ah\x00s.");
    refused("a tuple through a list", b"\x80\x02]q\x00h\x00\x85q\x01ah\x01.");
    // Each list holds the one before it twice: 2^60 of them, if they were written out.
    let doubled: Vec<u8> = (0..60_u8).flat_map(|at| [b'(', b'h', at, b'h', at, b'l', b'q', at + 1]).collect();
    refused("lists of lists of lists", &[b"\x80\x02]q\x00".as_slice(), &doubled, b"."].concat());
}

#[test]
fn huge_counts_are_refused() {
    for (what, pickle) in [
        ("text of 4 GiB", b"\x80\x02X\xff\xff\xff\xffab.".to_vec()),
        ("text of 2^63 bytes", b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7fab.".to_vec()),
        ("bytes of 4 GiB", b"\x80\x03B\xff\xff\xff\xffab.".to_vec()),
        ("bytes of 2^64 - 1", b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\xffab.".to_vec()),
        ("a bytearray of 2^62", b"\x80\x05\x96\x00\x00\x00\x00\x00\x00\x00\x40ab.".to_vec()),
        ("an integer of 2 GiB", b"\x80\x02\x8b\xff\xff\xff\x7fab.".to_vec()),
        ("a frame of 2^63 bytes", b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f}.".to_vec()),
        ("a place of the memo", b"\x80\x02}r\xff\xff\xff\xffj\xfe\xff\xff\xff.".to_vec()),
        (
            "a shape of 2^124",
            tensor(
                b"(\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x40\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x40t",
                b"(K\x01K\x01t",
                b"K\x04",
            ),
        ),
        ("a shape of 2^31 on stride 0", tensor(b"(J\xff\xff\xff\x7fK\x04t", b"(K\x00K\x01t", b"K\x04")),
        ("a shape below zero", tensor(b"(J\xff\xff\xff\xffK\x02t", b"(K\x02K\x01t", b"K\x04")),
        ("strides below zero", tensor(b"(K\x02K\x02t", b"(J\xfe\xff\xff\xffK\x01t", b"K\x04")),
        ("strides beyond the storage", tensor(b"(K\x02K\x02t", b"(J\xff\xff\xff\x7fK\x01t", b"K\x04")),
        ("more numbers than bytes", tensor(b"(K\x08K\x08t", b"(K\x08K\x01t", b"K\x40")),
        ("a storage of 2^31", tensor(b"(J\xff\xff\xff\x7ft", b"(K\x01t", b"J\xff\xff\xff\x7f")),
        ("fewer strides than sizes", tensor(b"(K\x02K\x02t", b"(K\x01t", b"K\x04")),
    ] {
        refused(what, &pickle);
    }
}

#[test]
fn names_that_are_no_data_are_said_and_not_run() {
    let marker = std::env::temp_dir().join("tessera-pickle-was-run");
    let _ = fs::remove_file(&marker);
    let command = format!("touch {}", marker.display());
    let short = |text: &str| [b"U".as_slice(), &[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let call =
        |module: &str, name: &str| [format!("\x02c{module}\n{name}\n(").as_bytes(), &short(&command), b"tR."].concat();
    for (module, name) in [
        ("os", "system"),
        ("posix", "system"),
        ("nt", "system"),
        ("subprocess", "Popen"),
        ("builtins", "eval"),
        ("builtins", "exec"),
        ("builtins", "__import__"),
        ("__builtin__", "getattr"),
        ("importlib", "import_module"),
        ("torch", "load"),
        ("torch.hub", "load"),
        ("torch.serialization", "load"),
        ("numpy.testing._private.utils", "runstring"),
        ("webbrowser", "open"),
        ("lavis.models", "load_model"),
    ] {
        // `\x80` is no character of its own in a Rust string.
        let pickle = [b"\x80".as_slice(), &call(module, name)].concat();
        let global = format!("{module}.{name}");
        for error in open_both(&pickle) {
            assert!(
                matches!(&error, Some(CheckpointError::ForbiddenGlobal { global: found, .. }) if *found == global),
                "{global}: {error:?}"
            );
        }
        // The same by way of the stack, of an instance, and beside a sound tensor.
        let stacked = [
            b"\x80\x04\x8c".as_slice(),
            &[u8::try_from(module.len()).unwrap()],
            module.as_bytes(),
            b"\x8c",
            &[u8::try_from(name.len()).unwrap()],
            name.as_bytes(),
            b"\x93)R.",
        ]
        .concat();
        let instance = [b"\x80\x02(i".as_slice(), module.as_bytes(), b"\n", name.as_bytes(), b"\n."].concat();
        let sound = tensor(b"(K\x02K\x02t", b"(K\x02K\x01t", b"K\x04");
        let beside = [&sound[..sound.len() - 1], b"0", &call(module, name)[1..]].concat();
        for pickle in [stacked, instance, beside] {
            for error in open_both(&pickle) {
                assert!(matches!(&error, Some(CheckpointError::ForbiddenGlobal { .. })), "{global}: {error:?}");
            }
        }
    }
    assert!(!marker.exists());
}

#[test]
fn a_small_file_cut_at_any_byte_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let pickle = tensor(b"(K\x02K\x02t", b"(K\x02K\x01t", b"K\x04");
    for (name, bytes) in [("m.pt", archive(&pickle)), ("m.pth", legacy(&pickle))] {
        for length in 0..bytes.len() {
            let path = folder.path().join(name);
            let _ = fs::remove_file(&path);
            fs::write(&path, &bytes[..length]).unwrap();
            let read = Weights::open(&path).and_then(|weights| weights.read_f32("w"));
            assert!(read.is_err(), "{name} cut to {length} of {} bytes", bytes.len());
        }
    }
}
