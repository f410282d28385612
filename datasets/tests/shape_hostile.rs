//! Mesh files that are cut, mutated or lie about their contents: a typed error or a sound mesh, never a panic, never much memory.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tessera_datasets::shape::{
    Mesh, Point, ShapeError, Solid, decode_mesh, load_mesh, write_glb, write_obj, write_ply,
};

/// Counts what is allocated, so that the tests can tell how much a file asked for at most.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[allow(unsafe_code, reason = "an allocator that counts is the only way to see what a parser asks for")]
// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Tests of this file run one after the other: they share the count.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes in use at most during `run`, beyond those before.
fn peak<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let result = run();
    (result, PEAK.load(Ordering::Relaxed).saturating_sub(before))
}

fn tetrahedron() -> Mesh {
    let corners = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    Mesh::new(corners.map(Point::from).to_vec(), vec![[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]).unwrap()
}

fn written(write: fn(&mut dyn std::io::Write, &Mesh) -> std::io::Result<()>) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes, &tetrahedron()).unwrap();
    bytes
}

fn ply_text() -> Vec<u8> {
    "ply\nformat ascii 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\nelement face 4\n\
     property list uchar int vertex_indices\nend_header\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3\n"
        .into()
}

fn ply_big() -> Vec<u8> {
    let text = ply_text();
    let end = text.windows(11).position(|window| window == b"end_header\n").unwrap() + 11;
    let mut bytes = String::from_utf8(text[..end].to_vec()).unwrap().replace("ascii", "binary_big_endian").into_bytes();
    for vertex in tetrahedron().vertices() {
        bytes.extend(vertex.iter().flat_map(|value| (*value as f32).to_be_bytes()));
    }
    for face in tetrahedron().faces() {
        bytes.push(3);
        bytes.extend(face.iter().flat_map(|index| index.to_be_bytes()));
    }
    bytes
}

fn stl_text() -> Vec<u8> {
    let mut text = "solid t\n".to_owned();
    for corners in tetrahedron().triangles() {
        text += "facet normal 0 0 0\nouter loop\n";
        corners.iter().for_each(|corner| text += &format!("vertex {} {} {}\n", corner.x, corner.y, corner.z));
        text += "endloop\nendfacet\n";
    }
    (text + "endsolid t\n").into_bytes()
}

fn stl_binary() -> Vec<u8> {
    let mut bytes = vec![0; 80];
    bytes.extend(4_u32.to_le_bytes());
    for corners in tetrahedron().triangles() {
        bytes.extend([0; 12]);
        for corner in corners {
            bytes.extend(corner.iter().flat_map(|value| (*value as f32).to_le_bytes()));
        }
        bytes.extend([0; 2]);
    }
    bytes
}

fn gltf_text() -> Vec<u8> {
    let glb = written(write_glb);
    let length = u32::from_le_bytes(glb[12..16].try_into().unwrap()) as usize;
    let json = String::from_utf8(glb[20..20 + length].to_vec()).unwrap();
    use base64::Engine as _;
    let data = base64::engine::general_purpose::STANDARD.encode(&glb[28 + length..]);
    json.replace("{\"byteLength\":96}", &format!("{{\"byteLength\":96,\"uri\":\"data:a/b;base64,{data}\"}}"))
        .into_bytes()
}

fn files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("t.ply", written(write_ply)),
        ("ascii.ply", ply_text()),
        ("big.ply", ply_big()),
        ("t.obj", written(write_obj)),
        ("t.stl", stl_text()),
        ("binary.stl", stl_binary()),
        ("t.glb", written(write_glb)),
        ("t.gltf", gltf_text()),
    ]
}

/// Whatever was read is sound, and an error is one sentence of bounded length.
fn judge(name: &str, found: &Result<Mesh, ShapeError>) {
    match found {
        Ok(mesh) => {
            assert!(!mesh.is_empty(), "{name}");
            assert!(Mesh::new(mesh.vertices().to_vec(), mesh.faces().to_vec()).is_ok(), "{name}");
        }
        Err(error) => {
            let sentence = error.to_string();
            assert!(sentence.len() < 700 && !sentence.contains('\n'), "{name}: {sentence}");
            assert!(sentence.contains(name.rsplit('/').next().unwrap()), "{name}: {sentence}");
        }
    }
}

#[test]
fn the_files_themselves_are_read() {
    let _alone = alone();
    for (name, bytes) in files() {
        let mesh = decode_mesh(name, &bytes).unwrap();
        assert_eq!(mesh.faces().len(), 4, "{name}");
        assert!((mesh.volume() - 1.0 / 6.0).abs() < 1e-12, "{name}");
    }
}

#[test]
fn files_cut_at_every_byte_are_refused() {
    let _alone = alone();
    for (name, bytes) in files() {
        for length in 0..bytes.len() {
            let (found, used) = peak(|| decode_mesh(name, &bytes[..length]));
            judge(name, &found);
            assert!(used < 4 << 20, "{name} cut at {length} used {used} bytes");
            // Of a text, the last number may be cut or its line end be missing, and OBJ does not say how much follows.
            let may_end_here = name.ends_with("obj") || (name == "ascii.ply" && length + 2 > bytes.len());
            let may_end_here = may_end_here || (name == "t.stl" && length + 3 >= bytes.len());
            let may_end_here =
                may_end_here || (name == "t.gltf" && bytes[length..].iter().all(u8::is_ascii_whitespace));
            assert!(found.is_err() || may_end_here, "{name} cut at {length} of {}", bytes.len());
        }
    }
}

#[test]
fn files_with_any_byte_changed_are_read_or_refused() {
    let _alone = alone();
    for (name, bytes) in files() {
        for at in 0..bytes.len() {
            for value in [0, 1, b'-', b'9', b'\n', 0x7F, 0x80, 0xFF, bytes[at] ^ 0x40] {
                let mut changed = bytes.clone();
                changed[at] = value;
                let (found, used) = peak(|| decode_mesh(name, &changed));
                judge(name, &found);
                assert!(used < 64 << 20, "{name} with byte {at} = {value} used {used} bytes");
            }
        }
    }
}

#[test]
fn files_mutated_at_random_are_read_or_refused() {
    let _alone = alone();
    let mut state = 0x1234_5678_9ABC_DEF0_u64;
    let mut next = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below.max(1)
    };
    for (name, bytes) in files() {
        for _ in 0..1500 {
            let mut changed = bytes.clone();
            for _ in 0..=next(6) {
                let (at, length) = (next(changed.len()), next(12));
                match next(5) {
                    0 => changed[at] = next(256) as u8,
                    1 => drop(changed.drain(at..(at + length).min(changed.len()))),
                    2 => changed.extend_from_within(at..(at + length).min(bytes.len()).min(changed.len()).max(at)),
                    3 => {
                        let digits: Vec<u8> = next(usize::MAX).to_string().into_bytes();
                        changed.splice(at..at, digits);
                    }
                    _ => {
                        let other = next(changed.len());
                        changed.swap(at, other);
                    }
                }
                if changed.is_empty() {
                    break;
                }
            }
            let (found, used) = peak(|| decode_mesh(name, &changed));
            judge(name, &found);
            assert!(used < 80 << 20, "{name} used {used} bytes");
        }
    }
}

#[test]
fn counts_of_billions_cost_nothing() {
    let _alone = alone();
    let text = String::from_utf8(ply_text()).unwrap();
    let mut lies = Vec::new();
    for count in ["2147483648", "4294967295", "18446744073709551615", "99999999999999999999999"] {
        for format in ["ascii", "binary_little_endian", "binary_big_endian"] {
            for element in ["vertex", "face"] {
                let line = format!("element {element} 4");
                lies.push(
                    text.replace(&line, &format!("element {element} {count}")).replace("ascii", format).into_bytes(),
                );
            }
            let empty = format!("element nothing {count}\nelement vertex");
            lies.push(text.replace("element vertex", &empty).replace("ascii", format).into_bytes());
        }
    }
    // A polygon of billions of corners.
    lies.push(text.replace("3 0 2 1", "2147483648 0 2 1").into_bytes());
    let mut list = text.replace("list uchar", "list uint").replace("ascii", "binary_little_endian").into_bytes();
    let end = list.windows(11).position(|window| window == b"end_header\n").unwrap() + 11;
    list.truncate(end);
    list.extend([0; 48]);
    list.extend([0xFF; 12]);
    list.extend([0; 64]);
    lies.push(list);
    let mut stl = stl_binary();
    stl[80..84].copy_from_slice(&(1_u32 << 31).to_le_bytes());
    lies.push(stl);
    for count in ["2147483648", "18446744073709551615", "-1", "1e99"] {
        let gltf = String::from_utf8(gltf_text()).unwrap();
        for key in ["count\":4", "count\":12", "byteLength\":48", "byteLength\":96", "byteOffset\":48"] {
            let (name, _) = key.split_once(':').unwrap();
            lies.push(gltf.replace(key, &format!("{name}:{count}")).into_bytes());
        }
        lies.push(
            gltf.replace(
                "\"bufferView\":0,\"componentType\":5126,\"count\":4",
                &format!("\"componentType\":5126,\"count\":{count}"),
            )
            .into_bytes(),
        );
    }
    let mut glb = written(write_glb);
    glb[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
    lies.push(glb);
    for (index, bytes) in lies.iter().enumerate() {
        let name = if bytes.starts_with(&[0; 80]) { "lie.stl" } else { "lie" };
        let (found, used) = peak(|| decode_mesh(name, bytes));
        judge(name, &found);
        assert!(found.is_err(), "lie {index}: {}", String::from_utf8_lossy(bytes));
        assert!(used < 4 << 20, "lie {index} used {used} bytes: {found:?}");
    }
}

#[test]
fn a_scene_that_repeats_a_mesh_without_end_is_refused() {
    let _alone = alone();
    let gltf = String::from_utf8(gltf_text()).unwrap();
    // 200,000 nodes of 4 triangles are few; of a primitive repeated 100 times, many.
    let nodes = |count: usize| {
        (vec!["{\"mesh\":0}"; count].join(","), (0..count).map(|i| i.to_string()).collect::<Vec<_>>().join(","))
    };
    let (list, indices) = nodes(20_000);
    let primitive = "{\"attributes\":{\"POSITION\":0},\"indices\":1}";
    let many = gltf
        .replace("[{\"mesh\":0}]", &format!("[{list}]"))
        .replace("\"nodes\":[0]", &format!("\"nodes\":[{indices}]"))
        .replace(&format!("[{primitive}]"), &format!("[{}]", vec![primitive; 100].join(",")));
    assert_ne!(many, gltf);
    let (found, used) = peak(|| decode_mesh("many.gltf", many.as_bytes()));
    assert!(matches!(&found, Err(ShapeError::InFile { .. })), "{found:?}");
    assert!(used < 200 << 20, "{used}");
    // Nodes that hold each other.
    let circle = gltf.replace("[{\"mesh\":0}]", "[{\"mesh\":0,\"children\":[1]},{\"children\":[0]}]");
    assert!(matches!(decode_mesh("c", circle.as_bytes()), Err(ShapeError::Malformed { .. })));
}

#[test]
fn nonsense_is_refused_by_name() {
    let _alone = alone();
    let text = String::from_utf8(ply_text()).unwrap();
    let read = |text: &str| decode_mesh("n.ply", text.as_bytes()).unwrap_err();
    assert!(read(&text.replace("1 0 0", "1e38 0 0")).to_string().contains("within +-1e30"));
    let cause = |error: ShapeError| match error {
        ShapeError::InFile { source, .. } => *source,
        other => other,
    };
    let error = cause(read(&text.replace("3 1 2 3", "3 1 2 4")));
    assert!(matches!(error, ShapeError::Corner { face: 3, index: 4, vertices: 4 }), "{error}");
    assert!(matches!(read(&text.replace("3 1 2 3", "3 1 2 -3")), ShapeError::Malformed { .. }));
    assert!(matches!(read(&text.replace("3 1 2 3", "2 1 2")), ShapeError::Malformed { .. }));
    assert!(matches!(read(&text.replace("float z", "float w")), ShapeError::Malformed { .. }));
    assert!(matches!(read(&text.replace("vertex_indices", "corners")), ShapeError::Malformed { .. }));
    assert!(matches!(read(&text.replace("uchar int", "uchar float")), ShapeError::Malformed { .. }));
    let points = text.replace("element face 4", "element face 0");
    assert!(matches!(read(&points), ShapeError::NoFaces { .. }));
    for number in ["nan", "inf", "-inf", "1e999"] {
        let obj = format!("v 0 0 0\nv 1 {number} 0\nv 0 1 0\nf 1 2 3\n");
        let error = cause(decode_mesh("n.obj", obj.as_bytes()).unwrap_err());
        assert!(matches!(error, ShapeError::Coordinate { vertex: 1, .. }), "{number}: {error}");
    }
    let mut bytes = written(write_ply);
    let end = bytes.windows(11).position(|window| window == b"end_header\n").unwrap() + 11;
    bytes[end..end + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    let error = cause(decode_mesh("n.ply", &bytes).unwrap_err());
    assert!(matches!(error, ShapeError::Coordinate { vertex: 0, .. }), "{error}");
    for (text, is_right) in [
        ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 4\n", false),
        ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 0 1 2\n", false),
        ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf -4 1 2\n", false),
        ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2\n", false),
        ("v 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", false),
        ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 99999999999\n", false),
        ("v 0 0 0\nv 1 0 0\nv 0 1 0\n", false),
        ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf -3 -2 -1\n", true),
    ] {
        assert_eq!(decode_mesh("n.obj", text.as_bytes()).is_ok(), is_right, "{text}");
    }
    for bytes in [&b""[..], b"\0\0\0", b"hello", b"ply", b"plywood", b"\x89PNG\r\n\x1a\n\0\0", b"{}", b"glTF", b"solid"]
    {
        judge("n", &decode_mesh("n", bytes));
        assert!(decode_mesh("n", bytes).is_err(), "{bytes:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(load_mesh(folder.path()), Err(ShapeError::Dataset(_))));
    assert!(matches!(load_mesh(folder.path().join("none.ply")), Err(ShapeError::Dataset(_))));
    let huge = folder.path().join("huge.ply");
    std::fs::File::create(&huge).unwrap().set_len(1 << 33).unwrap();
    let (found, used) = peak(|| load_mesh(&huge));
    assert!(found.is_err() && used < 1 << 20, "{found:?} {used}");
}

#[test]
fn reading_takes_memory_in_proportion_to_the_file() {
    let _alone = alone();
    let mesh = Solid::Torus { major: 0.5, minor: 0.2 }.mesh(129).unwrap();
    for write in [write_ply, write_obj, write_glb] {
        let mut bytes = Vec::new();
        write(&mut bytes, &mesh).unwrap();
        let (found, used) = peak(|| decode_mesh("t", &bytes));
        assert_eq!(found.unwrap().faces().len(), mesh.faces().len());
        assert!(used < 8 * bytes.len(), "{used} for {} bytes", bytes.len());
    }
}
