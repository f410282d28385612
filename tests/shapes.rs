//! Shapes across crates: the recorded extractions in full, and `tessera eval` of meshes.

mod common;

use std::path::{Path, PathBuf};

use common::{picture, printed, refused, tessera};
use serde_json::Value;
use tessera::datasets::shape::{
    Fill, Lattice, Mesh, Point, Solid, Surface, SurfaceOptions, check_mesh, extract_surface, save_mesh,
};
use tessera::verify::Case;

fn golden(case: &str) -> Case {
    Case::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/vat").join(case)).unwrap()
}

fn extract(case: &Case, name: &str, fill: Fill) -> Surface {
    let ([side, ..], samples) = case.floats::<3>(&format!("grid.{name}")).unwrap();
    let lattice = Lattice::cube(side).unwrap();
    let index = |coordinate: f64| ((coordinate + 1.0) / lattice.spacing()).round() as usize;
    let value = |place: &Point| samples[(index(place.x) * side + index(place.y)) * side + index(place.z)];
    let options = SurfaceOptions { fill, seal: false, ..SurfaceOptions::new(lattice) };
    extract_surface(&options, &mut |places| Ok(places.iter().map(value).collect())).unwrap()
}

/// What the case's configuration says of each field, number by number.
#[test]
fn surfaces_have_the_recorded_numbers() {
    let case = golden("marching-cubes-a");
    let grids = case.config["grids"].as_object().unwrap();
    assert!(grids.len() >= 8);
    for (name, numbers) in grids {
        let centred = extract(&case, name, Fill::Centre);
        let fan = extract(&case, name, Fill::Fan);
        assert_eq!(centred.crossings.len() as u64, numbers["vertices"].as_u64().unwrap(), "{name}");
        let Some(traced) = numbers.get("traced") else {
            assert!(centred.mesh.is_empty(), "{name}");
            continue;
        };
        let (check, fan_check) = (check_mesh(&centred.mesh), check_mesh(&fan.mesh));
        let integer = |key: &str| traced[key].as_i64().unwrap();
        assert!(check.manifold, "{name}: {check:?}");
        assert_eq!(fan_check.faces as i64, integer("fan_faces"), "{name}");
        assert_eq!(check.vertices as i64, integer("centre_vertices"), "{name}");
        assert_eq!(check.faces as i64, integer("centre_faces"), "{name}");
        assert_eq!((check.euler, check.components as i64), (integer("euler"), integer("components")), "{name}");
        for (key, found) in [("centre_volume", centred.mesh.volume()), ("centre_area", centred.mesh.area())] {
            let expected = traced[key].as_f64().unwrap();
            assert!((found / expected - 1.0).abs() < 1e-6, "{name} {key}: {found}, expected {expected}");
        }
        if numbers["ambiguous_faces"] == 0 && numbers["zero_samples"] == 0 {
            assert!(fan_check.manifold && fan_check.euler == check.euler, "{name}: {fan_check:?}");
            assert_eq!(fan_check.faces as i64, 2 * (fan.crossings.len() as i64 - fan_check.euler), "{name}");
            for (key, found) in [("reference_volume", fan.mesh.volume()), ("reference_area", fan.mesh.area())] {
                let expected = numbers[key].as_f64().unwrap();
                assert!((found / expected - 1.0).abs() < 5e-3, "{name} {key}: {found}, expected {expected}");
            }
        }
    }
}

fn folders() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (shapes, truth) = (folder.path().join("shapes"), folder.path().join("truth"));
    std::fs::create_dir_all(shapes.join("round")).unwrap();
    std::fs::create_dir_all(truth.join("round")).unwrap();
    let ball = |radius: f64| Solid::Sphere { radius }.mesh(40).unwrap();
    save_mesh(truth.join("round/ball.ply"), &ball(0.5)).unwrap();
    save_mesh(shapes.join("round/ball.glb"), &ball(0.45)).unwrap();
    let block = Solid::Cuboid { half: [0.5, 0.3, 0.2], rounding: 0.0 }.mesh(40).unwrap();
    save_mesh(truth.join("block.obj"), &block).unwrap();
    save_mesh(shapes.join("block.ply"), &block).unwrap();
    (folder, shapes, truth)
}

fn eval(shapes: &Path, truth: &Path, arguments: &[&str]) -> std::process::Command {
    let mut command = tessera();
    command.arg("eval").arg(shapes).arg(truth).args(["--points", "20000"]).args(arguments);
    command
}

#[test]
fn eval_compares_folders_of_meshes() {
    let (folder, shapes, truth) = folders();
    save_mesh(truth.join("missing.ply"), &Solid::Sphere { radius: 0.5 }.mesh(8).unwrap()).unwrap();
    std::fs::write(shapes.join("extra.stl"), "solid nothing").unwrap();
    std::fs::write(truth.join("extra.stl"), "solid nothing").unwrap();
    let out = folder.path().join("report");
    let text = printed(
        eval(&shapes, &truth, &["--json", "--thresholds", "0.02,0.2", "--out", out.to_str().unwrap()])
            .arg("--seed")
            .arg("3"),
    );
    let json: Value = serde_json::from_str(&text).unwrap();
    let report = &json["report"];
    assert_eq!((report["shapes"].as_u64(), report["manifold"].as_f64()), (Some(2), Some(1.0)));
    let skipped: Vec<&str> = json["skipped"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(skipped, ["missing", "extra"]);
    let [block, ball] = [&report["pairs"][0], &report["pairs"][1]];
    assert_eq!((block["name"].as_str(), ball["name"].as_str()), (Some("block"), Some("round/ball")));
    // Radii 0.855 and 0.95 after normalisation.
    let figure = |pair: &Value, name: &str| pair["figures"][name].as_f64().unwrap();
    assert!((figure(ball, "iou") - 0.9_f64.powi(3)).abs() < 0.02, "{ball}");
    assert!((figure(ball, "chamfer_l1") - 0.095).abs() < 0.01, "{ball}");
    assert_eq!(ball["figures"]["f_scores"][0]["f_score"].as_f64(), Some(0.0));
    assert_eq!(ball["figures"]["f_scores"][1]["f_score"].as_f64(), Some(1.0));
    assert!(figure(block, "iou") > 0.999 && figure(block, "chamfer_l1") < 0.02, "{block}");
    let mean = (figure(ball, "iou") + figure(block, "iou")) / 2.0;
    assert!((report["mean"]["iou"].as_f64().unwrap() - mean).abs() < 1e-12);
    assert!(out.join("report.json").is_file() && out.join("shapes.png").is_file());
    let again: Value = serde_json::from_str(&printed(
        eval(&shapes, &truth, &["--json", "--thresholds", "0.02,0.2"]).arg("--seed").arg("3"),
    ))
    .unwrap();
    assert_eq!(again["report"], *report);

    let table = printed(&mut eval(&shapes, &truth, &["--as-is"]));
    assert!(table.contains("round/ball") && table.contains("mean") && table.contains("2 passed over"), "{table}");
    let sentence = refused(&mut eval(&shapes, &truth, &["--strict"]));
    assert!(sentence.contains("missing") || sentence.contains("extra"), "{sentence}");
}

#[test]
fn eval_of_meshes_refuses_what_is_no_pair() {
    let (folder, shapes, truth) = folders();
    let one = printed(&mut eval(&shapes.join("block.ply"), &truth.join("block.obj"), &["--quiet"]));
    let lines: Vec<&str> = one.lines().collect();
    let value = |line: &str, name: &str| line.strip_prefix(name).unwrap().trim().parse::<f64>().unwrap();
    assert!(value(lines[0], "chamfer-l1") < 0.02 && value(lines[1], "iou") > 0.99, "{one}");
    assert_eq!(lines.len(), 3);
    let mut three = tessera();
    assert!(refused(three.arg("eval").args([&shapes, &shapes, &truth])).contains("two folders of meshes"));
    assert!(refused(&mut eval(&shapes, &folder.path().join("none"), &[])).contains("nothing there"));
    let pictures = folder.path().join("pictures");
    std::fs::create_dir(&pictures).unwrap();
    picture(&pictures, "one.png", 20, 20);
    assert!(refused(&mut eval(&shapes, &pictures, &[])).contains("expected meshes"));
    let others = folder.path().join("others");
    std::fs::create_dir(&others).unwrap();
    save_mesh(others.join("other.ply"), &Mesh::clone(&Solid::Sphere { radius: 0.5 }.mesh(8).unwrap())).unwrap();
    assert!(refused(&mut eval(&others, &truth, &[])).contains("same names"));
    std::fs::write(others.join("block.ply"), "ply\nformat ascii 1.0\nend_header\n").unwrap();
    let sentence = refused(&mut eval(&others, &truth, &[]));
    assert!(sentence.contains("no triangles") || sentence.contains("none"), "{sentence}");
}

#[test]
fn inspect_tells_and_draws_a_mesh() {
    let (folder, shapes, _) = folders();
    let picture = folder.path().join("views.png");
    let mut command = tessera();
    let text = printed(command.args(["inspect", "--json"]).arg(shapes.join("block.ply")).arg("-o").arg(&picture));
    let facts: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (facts["manifold"].as_bool(), facts["Euler_number"].as_i64(), facts["parts"].as_i64()),
        (Some(true), Some(2), Some(1))
    );
    assert!((facts["volume"].as_f64().unwrap() - 0.24).abs() < 0.01);
    assert!((facts["highest_corner"][1].as_f64().unwrap() - 0.3).abs() < 0.02);
    let drawn = tessera::datasets::load_picture(&picture, &Default::default()).unwrap();
    assert_eq!((drawn.width(), drawn.height()), (768, 512));
    std::fs::write(folder.path().join("cut.glb"), b"glTF").unwrap();
    let mut command = tessera();
    assert!(refused(command.arg("inspect").arg(folder.path().join("cut.glb"))).contains("cut.glb"));
}
