//! Meshes through the program: encode, decode and reconstruct.

use std::path::Path;

use burn::tensor::Device;
use serde_json::Value;
use tessera::datasets::load_picture;
use tessera::datasets::shape::{Solid, check_mesh, load_mesh, save_mesh};
use tessera::tokenizers::load_tokens;
use tessera::{DecodeOptions, Error, decode_shape, encode_shape, scale_ends};

use super::common::{printed, refused, tessera};
use super::models::{bar, generator, json_of, open, shifted, vat};

#[test]
fn a_mesh_goes_to_tokens_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let model = vat(folder.path());
    let run = |words: &[&str], paths: &[(&str, &Path)]| {
        let mut command = tessera();
        command.args(words).arg("--model").arg(&model);
        paths.iter().for_each(|(flag, path)| {
            if !flag.is_empty() {
                command.arg(flag);
            }
            command.arg(path);
        });
        printed(&mut command)
    };
    for ending in ["ply", "obj", "glb"] {
        save_mesh(at("bar").with_extension(ending), &bar()).unwrap();
    }
    let (mesh, tokens) = (at("bar.ply"), at("bar.tsr"));
    let told = json_of(&run(&["encode", "--json", "--seed", "3"], &[("", &mesh), ("-o", &tokens)]));
    assert_eq!((told["files"][0]["points"].as_u64(), told["files"][0]["tokens"].as_u64()), (Some(200), Some(14)));
    let bytes = std::fs::read(&tokens).unwrap();
    assert_eq!(told["files"][0]["file_bytes"].as_u64(), Some(bytes.len() as u64));

    // The same seed draws the same points, and the library does what the program does.
    run(&["encode", "--seed", "3"], &[("", &mesh), ("-o", &at("again.tsr"))]);
    assert_eq!(std::fs::read(at("again.tsr")).unwrap(), bytes);
    let tokenizer = open(&model);
    let file = encode_shape(&*tokenizer, &load_mesh(&mesh).unwrap(), 3, &Device::flex()).unwrap();
    assert_eq!(load_tokens(&tokens, false).unwrap().tokens, file.tokens);
    assert_eq!(scale_ends(file.tokens.layout()), [1, 5, 14]);
    // Several formats of a folder: each has its own name there.
    std::fs::create_dir(at("meshes")).unwrap();
    for (name, ending) in [("one", "obj"), ("two", "glb")] {
        std::fs::copy(at("bar").with_extension(ending), at("meshes").join(name).with_extension(ending)).unwrap();
    }
    run(&["encode"], &[("", &at("meshes")), ("-o", &at("tokens"))]);
    assert!(at("tokens").join("one.tsr").is_file() && at("tokens").join("two.tsr").is_file());

    for (ending, scales, words) in [("ply", 3, &[][..]), ("obj", 2, &["--scales", "2"]), ("glb", 2, &["--keep", "5"])] {
        let out = at("back").with_extension(ending);
        let words = [&["decode", "--json", "--resolution", "21"][..], words].concat();
        let expected = decode_shape(&*tokenizer, &file.tokens, &DecodeOptions::prefix([1, 5, 14][scales - 1]), 21);
        match expected {
            Ok(expected) => {
                let told = json_of(&run(&words, &[("", &tokens), ("-o", &out)]));
                let back = load_mesh(&out).unwrap();
                assert_eq!(back.faces().len(), expected.faces().len(), "{ending}");
                assert_eq!(told["files"][0]["faces"].as_u64(), Some(expected.faces().len() as u64));
                assert!(check_mesh(&expected).closed && check_mesh(&expected).oriented);
                let [low, high] = back.bounding_box().unwrap();
                assert!(low.iter().chain(high.iter()).all(|side| side.abs() <= 1.2501), "{low} {high}");
            }
            Err(error) => {
                assert!(ending != "ply" && matches!(error, Error::NoSurface { item: 0 }), "{ending}: {error}");
                let mut command = tessera();
                command.args(&words[..1]).args(&words[2..]).arg(&tokens).arg("-o").arg(&out).arg("--model").arg(&model);
                assert!(refused(&mut command).contains("no surface"));
            }
        }
    }

    let told = run(&["reconstruct", "--json", "--resolution", "21"], &[("", &mesh), ("-o", &at("views.png"))]);
    let results = json_of(&told)["reconstructions"].as_array().unwrap().clone();
    let tokens: Vec<u64> = results.iter().map(|result| result["tokens"].as_u64().unwrap()).collect();
    assert_eq!(tokens, [1, 5, 14]);
    let last = &results[2];
    assert_eq!((last["scales"].as_u64(), last["file_bytes"].as_u64()), (Some(3), Some(bytes.len() as u64)));
    assert_eq!(last["has_surface"].as_bool(), Some(true));
    let figures = &last["figures"];
    assert!(figures["chamfer_l1"].as_f64().unwrap() > 0.0 && figures["f_scores"][0]["f_score"].is_f64(), "{last}");
    let views = load_picture(at("views.png"), &Default::default()).unwrap();
    assert!(views.width() >= 4 * 192, "{}", views.width());
}

#[test]
fn a_field_without_a_surface_is_an_error_and_an_empty_view() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (model, generator) = (vat(folder.path()), generator(folder.path()));
    shifted(&model, -1e4);
    save_mesh(at("bar.stl.ply"), &bar()).unwrap();
    let command = |words: &[&str], input: &str, out: &str| {
        let mut command = tessera();
        command.args(words).arg(at(input)).arg("-o").arg(at(out)).arg("--model").arg(&model);
        command
    };
    printed(&mut command(&["encode"], "bar.stl.ply", "bar.tsr"));
    let sentence = refused(&mut command(&["decode", "--resolution", "9"], "bar.tsr", "bar.ply"));
    assert!(sentence.contains("no surface") && sentence.contains("bar.tsr") && !at("bar.ply").exists(), "{sentence}");
    let told = printed(&mut command(&["reconstruct", "--json", "--resolution", "9"], "bar.stl.ply", "views.png"));
    for result in json_of(&told)["reconstructions"].as_array().unwrap() {
        assert!(result["has_surface"] == false && result["figures"].is_null(), "{result}");
    }
    let mut command = tessera();
    command.args(["generate", "--count", "2", "--resolution", "9", "--model"]).arg(&generator);
    let text = printed(command.arg("--tokenizer").arg(&model).arg("-o").arg(at("grid.png")));
    assert!(text.contains("2 of 2 shapes have no surface"), "{text}");
    // A field that is inside everywhere is the box itself.
    shifted(&model, 2e4);
    let tokenizer = open(&model);
    let file = encode_shape(&*tokenizer, &bar(), 0, &Device::flex()).unwrap();
    let whole = decode_shape(&*tokenizer, &file.tokens, &DecodeOptions::prefix(1), 9).unwrap();
    assert!(check_mesh(&whole).manifold && whole.volume() > 2.0_f64.powi(3));
}

/// The program's own model, which no command has to name.
#[test]
fn the_built_in_model_brings_a_shape_through_its_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let plate = Solid::Cuboid { half: [0.7, 0.15, 0.5], rounding: 0.05 }.mesh(65).unwrap();
    save_mesh(at("plate.ply"), &plate).unwrap();
    for device in ["cpu", "gpu"] {
        let run = |words: &[&str], input: &str, out: &str| {
            let mut command = tessera();
            printed(command.args(words).args(["--device", device]).arg(at(input)).arg("-o").arg(at(out)))
        };
        run(&["encode"], "plate.ply", "plate.tsr");
        assert_eq!(load_tokens(at("plate.tsr"), false).unwrap().tokens.positions(), 511);
        assert!(std::fs::metadata(at("plate.tsr")).unwrap().len() < 620);
        run(&["decode", "--resolution", "65"], "plate.tsr", "back.ply");
        assert!(check_mesh(&load_mesh(at("back.ply")).unwrap()).manifold);
        run(&["decode", "--scales", "3", "--resolution", "33"], "plate.tsr", "meshes/");
        assert!(at("meshes").join("plate.ply").is_file());
        let told = run(&["reconstruct", "--json", "--resolution", "65"], "plate.ply", "sheet.png");
        let told = json_of(&told);
        let prefixes = told["reconstructions"].as_array().unwrap();
        let iou = |prefix: &Value| prefix["figures"]["iou"].as_f64().unwrap_or(0.0);
        assert_eq!(prefixes.len(), 9);
        assert!(iou(&prefixes[8]) > 0.8 && iou(&prefixes[8]) > iou(&prefixes[0]), "{device}: {told}");
        // As many tokens, searched for.
        let searched = run(
            &["reconstruct", "--json", "--resolution", "65", "--refine", "20", "--tokens", "511"],
            "plate.ply",
            "searched.png",
        );
        let searched = json_of(&searched);
        let missed = [&searched["reconstructions"][0], &prefixes[8]].map(|shape| 1.0 - iou(shape));
        assert!(missed[0] < 0.95 * missed[1], "{device}: {missed:?}");
    }
}
