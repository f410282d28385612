//! A model that the program measures on meshes and procedural shapes.

use serde_json::Value;
use tessera::datasets::shape::save_mesh;

use super::common::{printed, refused, tessera, tiny_model};
use super::models::{bar, json_of, vat};

#[test]
fn eval_measures_a_model_on_meshes_and_on_procedural_shapes() {
    let folder = tempfile::tempdir().unwrap();
    let model = vat(folder.path());
    let meshes = folder.path().join("meshes");
    std::fs::create_dir(&meshes).unwrap();
    save_mesh(meshes.join("bar.ply"), &bar()).unwrap();
    std::fs::write(meshes.join("broken.obj"), "f 1 2 3").unwrap();
    let out = folder.path().join("report");
    let eval = |arguments: &[&str]| {
        let mut command = tessera();
        command.args(["eval", "--model"]).arg(&model).args(["--points", "2000", "--resolution", "33"]).args(arguments);
        command
    };
    let both = ["--solids", "2", meshes.to_str().unwrap(), "--json", "--out", out.to_str().unwrap()];
    let json = json_of(&printed(&mut eval(&both)));
    let report = &json["report"];
    assert_eq!((report["shapes"].as_u64(), json["skipped"][0]["name"].as_str()), (Some(3), Some("broken")));
    let prefixes = report["prefixes"].as_array().unwrap();
    let tokens: Vec<u64> = prefixes.iter().map(|prefix| prefix["tokens"].as_u64().unwrap()).collect();
    assert_eq!(tokens, [1, 5, 14]);
    let mean = |name: &str| prefixes[2][name].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&mean("iou")) && mean("chamfer_l1") > 0.0, "{report}");
    // The field is positive at half of the places, so that there is a surface.
    let each: Vec<f64> = json["shapes"].as_array().unwrap().iter().map(iou_of_last).collect();
    assert!((each.iter().sum::<f64>() / 3.0 - mean("iou")).abs() < 1e-9 && mean("iou") > 0.0, "{each:?}");
    assert!(report["usage"][0]["tokens"].as_u64() == Some(3 * 14) && report["cross_scale_iou"].as_f64().is_some());
    assert!(out.join("report.json").is_file() && out.join("shapes.png").is_file());

    let table = printed(&mut eval(&[meshes.to_str().unwrap(), "--tokens", "14"]));
    assert!(table.contains("1 shapes") && table.contains("broken"), "{table}");
    assert!(refused(&mut eval(&[meshes.to_str().unwrap(), "--strict"])).contains("broken"));
    let mut pictures = tessera();
    pictures.args(["eval", "--solids", "1", "--model"]).arg(tiny_model());
    assert!(refused(&mut pictures).contains("not of shapes"));
}

fn iou_of_last(shape: &Value) -> f64 {
    let prefixes = shape["prefixes"].as_array().unwrap();
    prefixes[prefixes.len() - 1]["figures"]["iou"].as_f64().unwrap_or(0.0)
}
