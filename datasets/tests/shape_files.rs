//! Meshes from files and into files.

use std::path::Path;

use base64::Engine as _;
use tessera_datasets::shape::{
    Mesh, Point, ShapeError, Solid, check_mesh, decode_mesh, load_mesh, mesh_folder, save_mesh, write_glb, write_obj,
    write_ply,
};

fn data(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/meshes").join(name)
}

/// A torus in single precision, so that every format holds it exactly.
fn torus() -> Mesh {
    let mesh = Solid::Torus { major: 0.5, minor: 0.2 }.mesh(20).unwrap();
    mesh.moved(|place| place.map(|value| f64::from(value as f32))).unwrap()
}

fn tetrahedron() -> Mesh {
    let corners = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    let vertices = corners.map(Point::from).to_vec();
    Mesh::new(vertices, vec![[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]).unwrap()
}

#[test]
fn every_written_format_reads_back_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    for mesh in [torus(), tetrahedron()] {
        for ending in ["ply", "obj", "glb", "PLY", "Obj"] {
            let path = folder.path().join(format!("shape.{ending}"));
            save_mesh(&path, &mesh).unwrap();
            // A text holds the shortest number that is the same in single precision.
            let single = load_mesh(&path).unwrap().moved(|place| place.map(|value| f64::from(value as f32))).unwrap();
            assert_eq!(single, mesh, "{ending}");
        }
    }
    // The temporary names are gone.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 5);
    let error = save_mesh(folder.path().join("shape.stl"), &torus()).unwrap_err();
    assert!(matches!(error, ShapeError::UnknownEnding { .. }), "{error}");
    let path = folder.path().join("shape.ply");
    assert!(matches!(save_mesh(&path, &Mesh::default()), Err(ShapeError::NoFaces { .. })));
    assert_eq!(load_mesh(&path).unwrap(), tetrahedron(), "a refused mesh replaced a file");
    assert!(matches!(save_mesh(folder.path().join("none/shape.ply"), &torus()), Err(ShapeError::Dataset(_))));
}

#[test]
fn the_content_decides_the_format() {
    let mesh = tetrahedron();
    for write in [write_ply, write_obj, write_glb] {
        let mut bytes = Vec::new();
        write(&mut bytes, &mesh).unwrap();
        for name in ["shape", "shape.stl", "shape.ply", "shape.png"] {
            if name != "shape.stl" || !bytes.starts_with(b"v ") {
                assert_eq!(decode_mesh(name, &bytes).unwrap(), mesh, "{name}");
            }
        }
    }
}

#[test]
fn a_real_mesh_has_the_numbers_of_its_source() {
    let mesh = load_mesh(data("city_bench.ply")).unwrap();
    let check = check_mesh(&mesh);
    assert_eq!((check.vertices, check.faces, check.euler, check.components), (303, 602, 2, 1));
    assert!(check.manifold, "{check:?}");
    assert!((mesh.volume() - 0.2466).abs() < 1e-4 && (mesh.area() - 3.7228).abs() < 1e-4);
    let source = load_mesh(data("city_bench.obj")).unwrap();
    assert_eq!(source.faces().len(), 44);
    assert_eq!(mesh_folder(data("")).unwrap(), [data("city_bench.obj"), data("city_bench.ply")]);
}

/// PLY headers and rows of a square of two triangles, as one quadrilateral.
fn ply(format: &str, coordinate: &str, count: &str, index: &str) -> String {
    format!(
        "ply\nformat {format} 1.0\ncomment a square\nobj_info none\nelement vertex 4\nproperty {coordinate} x\n\
         property uchar red\nproperty {coordinate} y\nproperty {coordinate} z\nelement material 1\nproperty list uchar float k\n\
         element face 1\nproperty uchar flags\nproperty list {count} {index} vertex_index\nproperty float quality\nend_header\n"
    )
}

#[test]
fn ply_of_every_encoding_and_type_is_read() {
    let expected_vertices: Vec<Point> =
        [[0.0, 0.0, 5.0], [1.0, 0.0, 5.0], [1.0, 1.0, 5.0], [0.0, 1.0, 5.0]].map(Point::from).to_vec();
    let expected = Mesh::new(expected_vertices, vec![[0, 1, 2], [0, 2, 3]]).unwrap();
    let text = "0 9 0 5\n1 9 0 5\r\n\n1 9 1 5\n0 9 1 5\n2 0.5 0.25\n1 4 0 1 2 3 0.5\n";
    for coordinate in ["float", "double", "float32", "float64", "char", "uint16", "int"] {
        let file = ply("ascii", coordinate, "uchar", "int") + text;
        assert_eq!(decode_mesh("square.ply", file.as_bytes()).unwrap(), expected, "{coordinate}");
        assert_eq!(decode_mesh("s.ply", (file.replace('\n', "\r\n")).as_bytes()).unwrap(), expected, "{coordinate}");
    }
    for big in [false, true] {
        let format = if big { "binary_big_endian" } else { "binary_little_endian" };
        for index in ["uchar", "short", "uint", "int32"] {
            let mut bytes = ply(format, "double", "ushort", index).into_bytes();
            let mut number = |little: &[u8]| match big {
                true => bytes.extend(little.iter().rev()),
                false => bytes.extend(little),
            };
            for place in expected.vertices() {
                number(&place.x.to_le_bytes());
                number(&[9]);
                number(&place.y.to_le_bytes());
                number(&place.z.to_le_bytes());
            }
            number(&[1]);
            number(&0.5_f32.to_le_bytes());
            number(&[1]);
            number(&4_u16.to_le_bytes());
            for corner in 0..4_u32 {
                let size = match index {
                    "uchar" => 1,
                    "short" => 2,
                    _ => 4,
                };
                number(&corner.to_le_bytes()[..size]);
            }
            number(&0.5_f32.to_le_bytes());
            assert_eq!(decode_mesh("square", &bytes).unwrap(), expected, "{format} {index}");
        }
    }
}

#[test]
fn obj_with_everything_is_read() {
    let text = "# caf\u{e9}\nmtllib x.mtl\no one\nv 0 0 0 1.0\nv\t1 0 0\nv 1 1 0 0.1 0.2 0.3\r\nvt 0 0\nvn 0 0 1\ng a b\nusemtl m\n\
                f 1/1/1 2//1 \\\n3\nv 0 1 0\nf -4 -2/1 -1\nl 1 2\nv 0 0 1\nf 1 2 3 4 5\n";
    let mesh = decode_mesh("all.obj", &text.chars().map(|c| c as u8).collect::<Vec<u8>>()).unwrap();
    assert_eq!(mesh.vertices().len(), 5);
    assert_eq!(mesh.faces(), [[0, 1, 2], [0, 2, 3], [0, 1, 2], [0, 2, 3], [0, 3, 4]]);
}

fn stl_text(mesh: &Mesh) -> String {
    let mut text = "solid t\u{e9}st\n".to_owned();
    for corners in mesh.triangles() {
        text += "facet normal 0 0 0\n  outer loop\n";
        for corner in corners {
            text += &format!("    vertex {:e} {} {}\n", corner.x, corner.y, corner.z);
        }
        text += "  endloop\nendfacet\n";
    }
    text + "endsolid test\n"
}

fn stl_binary(mesh: &Mesh, title: &str) -> Vec<u8> {
    let mut bytes = vec![b' '; 80];
    bytes[..title.len()].copy_from_slice(title.as_bytes());
    bytes.extend((mesh.faces().len() as u32).to_le_bytes());
    for corners in mesh.triangles() {
        bytes.extend([0; 12]);
        bytes.extend(
            corners
                .iter()
                .flat_map(|corner| corner.iter().flat_map(|v| (*v as f32).to_le_bytes()).collect::<Vec<u8>>()),
        );
        bytes.extend([0; 2]);
    }
    bytes
}

#[test]
fn stl_of_both_forms_is_welded() {
    let mesh = torus();
    for bytes in [stl_text(&mesh).into_bytes(), stl_binary(&mesh, "made by"), stl_binary(&mesh, "solid made by")] {
        let found = decode_mesh("shape.stl", &bytes).unwrap();
        let check = check_mesh(&found);
        assert!(check.manifold && check.euler == 0, "{check:?}");
        assert_eq!(found.vertices().len(), mesh.vertices().len());
        assert!((found.volume() - mesh.volume()).abs() < 1e-12);
    }
}

/// A glTF of a tetrahedron, whose parts can be replaced.
fn gltf(nodes: &str, accessors: &str) -> String {
    let mut bytes = Vec::new();
    for vertex in tetrahedron().vertices() {
        bytes.extend(vertex.iter().flat_map(|value| (*value as f32).to_le_bytes()));
    }
    bytes.extend(tetrahedron().faces().iter().flatten().map(|&index| index as u8));
    let data = base64::engine::general_purpose::STANDARD.encode(&bytes);
    format!(
        r#"{{ "asset": {{"version": "2.0"}}, "scene": 0, "scenes": [{{"nodes": [0]}}], "nodes": [{nodes}],
        "meshes": [{{"primitives": [{{"attributes": {{"POSITION": 0}}, "indices": 1}}, {{"attributes": {{"POSITION": 0}}, "mode": 0}}]}}],
        "accessors": [{accessors}],
        "bufferViews": [{{"buffer": 0, "byteLength": 48}}, {{"buffer": 0, "byteOffset": 48, "byteLength": 12}}],
        "buffers": [{{"byteLength": 60, "uri": "data:application/octet-stream;base64,{data}"}}] }}"#
    )
}

const ACCESSORS: &str = r#"{"bufferView": 0, "componentType": 5126, "count": 4, "type": "VEC3"},
    {"bufferView": 1, "componentType": 5121, "count": 12, "type": "SCALAR"}"#;

#[test]
fn gltf_nodes_place_their_meshes() {
    let plain = decode_mesh("t.gltf", gltf(r#"{"mesh": 0}"#, ACCESSORS).as_bytes()).unwrap();
    assert_eq!(plain, tetrahedron());
    let nodes = r#"{"children": [1, 2], "translation": [0, 0, 10]},
        {"mesh": 0, "scale": [2, 2, 2], "rotation": [0, 0.7071067811865476, 0, 0.7071067811865476]},
        {"mesh": 0, "matrix": [-1,0,0,0, 0,1,0,0, 0,0,1,0, 5,0,0,1]}"#;
    let mesh = decode_mesh("t.gltf", gltf(nodes, ACCESSORS).as_bytes()).unwrap();
    assert_eq!(mesh.faces().len(), 8);
    // A quarter turn about y takes x to -z; the reflected one still looks outward.
    assert!((mesh.vertices()[1] - Point::new(0.0, 0.0, 8.0)).norm() < 1e-9);
    assert!((mesh.vertices()[5] - Point::new(4.0, 0.0, 10.0)).norm() < 1e-9);
    assert!((mesh.volume() - (8.0 + 1.0) / 6.0).abs() < 1e-9);
}

#[test]
fn gltf_buffers_may_lie_beside_it_but_not_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = tetrahedron()
        .vertices()
        .iter()
        .flat_map(|v| v.iter().flat_map(|x| (*x as f32).to_le_bytes()).collect::<Vec<u8>>())
        .collect();
    std::fs::write(folder.path().join("a b.bin"), &bytes).unwrap();
    let with = |uri: &str| {
        let document = format!(
            r#"{{ "asset": {{"version": "2.0"}}, "meshes": [{{"primitives": [{{"attributes": {{"POSITION": 0}}, "mode": 5}}]}}],
            "accessors": [{{"bufferView": 0, "componentType": 5126, "count": 4, "type": "VEC3"}}],
            "bufferViews": [{{"buffer": 0, "byteLength": 48}}], "buffers": [{{"byteLength": 48, "uri": "{uri}"}}] }}"#
        );
        let path = folder.path().join("t.gltf");
        std::fs::write(&path, &document).unwrap();
        (load_mesh(&path), decode_mesh("t.gltf", document.as_bytes()))
    };
    let (found, alone) = with("a%20b.bin");
    assert_eq!(found.unwrap().faces(), [[0, 1, 2], [2, 1, 3]]);
    assert!(matches!(alone, Err(ShapeError::Unsupported { .. })));
    for uri in ["../a b.bin", "/etc/passwd", "http://example.com/a.bin", "%2e%2e/a", "%zz", ""] {
        let (found, _) = with(uri);
        assert!(matches!(found, Err(ShapeError::Unsupported { .. })), "{uri}: {found:?}");
    }
    assert!(matches!(with("none.bin").0, Err(ShapeError::Dataset(_))));
}

#[test]
fn gltf_sparse_and_quantised_accessors_are_read() {
    let sparse = r#"{"bufferView": 0, "componentType": 5126, "count": 4, "type": "VEC3",
        "sparse": {"count": 1, "indices": {"bufferView": 1, "byteOffset": 1, "componentType": 5121}, "values": {"bufferView": 0, "byteOffset": 12}}},
        {"bufferView": 1, "componentType": 5121, "count": 12, "type": "SCALAR"}"#;
    let mesh = decode_mesh("t.gltf", gltf(r#"{"mesh": 0}"#, sparse).as_bytes()).unwrap();
    // Vertex 2 (the second index) became (1, 0, 0), the second place.
    assert_eq!(mesh.vertices()[2], Point::new(1.0, 0.0, 0.0));
    let quantised = r#"{"bufferView": 0, "componentType": 5121, "normalized": true, "count": 4, "type": "VEC3"},
        {"bufferView": 1, "componentType": 5121, "count": 12, "type": "SCALAR"}"#;
    let mesh = decode_mesh("t.gltf", gltf(r#"{"mesh": 0}"#, quantised).as_bytes()).unwrap();
    assert!(mesh.vertices().iter().flat_map(|place| place.iter()).all(|value| (0.0..=1.0).contains(value)));
}
