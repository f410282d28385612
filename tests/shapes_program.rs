//! Shapes through the program: encode, decode, reconstruct and generate with small random models, and wrong input.

mod common;

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use common::{picture, printed, refused, tessera, tiny_model};
use serde_json::{Value, json};
use tessera::datasets::load_picture;
use tessera::datasets::shape::{Mesh, Point, Solid, check_mesh, load_mesh, save_mesh};
use tessera::generators::next_scale::{self, NextScaleConfig};
use tessera::layers::checkpoint::{NamedTensor, Precision, Weights, write_safetensors};
use tessera::tokenizers::{ModelConfig, load_tokens};
use tessera::{
    DecodeOptions, Error, Tokenizer, decode_shape, decode_shapes, encode_shape, from_pretrained, scale_ends,
};

fn document() -> Value {
    json!({
        "model_type": "vat", "num_latents": 9, "latent_dim": 4,
        "input": {"num_points": 200, "use_normals": true, "num_freqs": 3, "include_pi": true},
        "encoder": {"dim": 24, "depth": 1, "heads": 3, "mlp_ratio": 2.0},
        "quantizer": {"scales": [1, 4, 9], "codebook_size": 20},
        "decoder": {"dim": 16, "depth": 1, "heads": 2, "plane_tokens": 3},
        "triplane": {"channels": [16, 8], "out_channels": 5, "norm_groups": 4, "bounds": 1.25},
        "occupancy": {"hidden": 12, "layers": 3},
    })
}

/// The last bias of the network moved by `shift`.
fn shifted(model: &Path, shift: f32) {
    let file = model.join("model.safetensors");
    let weights = Weights::open(&file).unwrap();
    let read = |name: String, shape| NamedTensor { values: weights.read_f32(&name).unwrap(), name, shape };
    let mut tensors: Vec<NamedTensor> =
        weights.entries().into_iter().map(|entry| read(entry.name, entry.shape)).collect();
    let last = tensors.iter_mut().find(|tensor| tensor.name.ends_with("layers.2.bias")).unwrap();
    last.values.iter_mut().for_each(|value| *value += shift);
    write_safetensors(&file, &tensors, Precision::F32, Default::default()).unwrap();
}

fn open(model: &Path) -> Box<dyn Tokenizer> {
    from_pretrained(&model.to_string_lossy(), &Device::flex()).unwrap()
}

/// A small VAT whose field of the bar, from all tokens, is positive at half of the places.
fn vat(folder: &Path) -> PathBuf {
    let model = folder.join("vat");
    std::fs::create_dir(&model).unwrap();
    std::fs::write(model.join("config.json"), document().to_string()).unwrap();
    ModelConfig::from_value(&document()).unwrap().write_random(3, &model.join("model.safetensors")).unwrap();
    let tokenizer = open(&model);
    let file = encode_shape(&*tokenizer, &bar(), 0, &Device::flex()).unwrap();
    let field = tokenizer.decode(&file.tokens, &DecodeOptions::default()).unwrap().into_field().unwrap();
    let mut logits = field.grid(0, 20).unwrap();
    logits.sort_by(f32::total_cmp);
    shifted(&model, -logits[logits.len() / 2]);
    model
}

/// A generator of that VAT's tokens.
fn generator(folder: &Path) -> PathBuf {
    let model = folder.join("generator");
    std::fs::create_dir(&model).unwrap();
    let document = json!({
        "model_type": "vat", "latent_dim": 4, "num_latents": 9,
        "quantizer": {"scales": [1, 4, 9], "codebook_size": 20},
        "ar": {"dim": 24, "depth": 1, "heads": 3, "classes": 5},
    });
    std::fs::write(model.join("config.json"), document.to_string()).unwrap();
    let config = NextScaleConfig::from_value(&document).unwrap();
    let (network, specs) = next_scale::random(&config, 5, &Device::flex()).unwrap().into_network();
    next_scale::save(&network, &specs, &model.join("model.safetensors")).unwrap();
    model
}

/// Somewhere else, and larger than the model's box.
fn bar() -> Mesh {
    let bar = Solid::Cuboid { half: [0.9, 0.3, 0.2], rounding: 0.1 }.mesh(33).unwrap();
    bar.moved(|place| Point::new(20.0 * place.x + 7.0, 20.0 * place.y, 20.0 * place.z - 100.0)).unwrap()
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

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
fn shapes_are_generated() {
    let folder = tempfile::tempdir().unwrap();
    let (tokenizer, generator) = (vat(folder.path()), generator(folder.path()));
    let parts = folder.path().join("parts");
    let generate = |out: &str, words: &[&str]| {
        let mut command = tessera();
        command.args(["generate", "--count", "5", "--resolution", "17", "--seed", "1"]);
        command.args(words).arg("--model").arg(&generator).arg("--tokenizer").arg(&tokenizer);
        command.arg("-o").arg(folder.path().join(out));
        command
    };
    let told = json_of(&printed(generate("grid.png", &["--json", "--class", "2"]).arg("--parts").arg(&parts)));
    let grid = load_picture(folder.path().join("grid.png"), &Default::default()).unwrap();
    assert!(grid.width() >= 3 * 256 && grid.height() >= 2 * 256);
    let file = load_tokens(parts.join("tokens.tsr"), false).unwrap();
    let opened = open(&tokenizer);
    let shapes = decode_shapes(&*opened, &file.tokens, &DecodeOptions::default(), 17, &mut |_| {}).unwrap();
    assert_eq!(shapes.len(), 5);
    let empty = shapes.iter().filter(|shape| shape.is_empty()).count();
    assert_eq!(told["without_surface"].as_u64(), Some(empty as u64));
    for (index, shape) in shapes.iter().enumerate() {
        let path = parts.join(format!("{index:04}.ply"));
        assert_eq!(path.is_file(), !shape.is_empty(), "{index}");
        assert!(parts.join(format!("{index:04}.png")).is_file());
    }
    // Several shapes of a file get numbers, if all have a surface.
    let mut command = tessera();
    command.args(["decode", "--resolution", "17"]).arg(parts.join("tokens.tsr")).arg("--model").arg(&tokenizer);
    command.arg("-o").arg(folder.path().join("back.obj"));
    match empty {
        0 => {
            printed(&mut command);
            assert_eq!(load_mesh(folder.path().join("back-0004.obj")).unwrap().faces().len(), shapes[4].faces().len());
        }
        _ => assert!(refused(&mut command).contains("no surface")),
    }
    let several = decode_shape(&*opened, &file.tokens, &DecodeOptions::default(), 17);
    assert!(matches!(several, Err(Error::SeveralShapes { items: 5 })));

    // Without a class, a coarse part only, with views of the samples while they grow.
    let preview = folder.path().join("preview");
    printed(generate("rough.png", &["--tokens", "5"]).arg("--preview").arg(&preview));
    assert!(preview.join("0001.png").is_file());
    assert!(refused(&mut generate("no.png", &["--class", "5"])).contains("class 5"));
    printed(&mut generate("kind.png", &["--kind", "shape", "--tokens", "1"]));
    assert!(refused(&mut generate("no.png", &["--kind", "picture"])).contains("found one of shapes"));
    let image = picture(folder.path(), "image.png", 20, 20);
    assert!(refused(generate("no.png", &[]).arg("--image").arg(image)).contains("--image"));
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

fn iou_of_last(shape: &Value) -> f64 {
    let prefixes = shape["prefixes"].as_array().unwrap();
    prefixes[prefixes.len() - 1]["figures"]["iou"].as_f64().unwrap_or(0.0)
}

#[test]
fn wrong_input_is_refused_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let model = vat(folder.path());
    save_mesh(at("bar.ply"), &bar()).unwrap();
    picture(folder.path(), "picture.png", 40, 40);
    std::fs::write(at("empty.ply"), "").unwrap();
    std::fs::write(at("text.ply"), "no mesh").unwrap();
    std::fs::write(
        at("points.ply"),
        "ply\nformat ascii 1.0\nelement vertex 0\nproperty float x\nproperty float y\nproperty float z\nend_header\n",
    )
    .unwrap();
    std::fs::write(at("flat.obj"), "v 1 1 1\nv 1 1 1\nv 1 1 1\nf 1 2 3\n").unwrap();
    std::fs::create_dir(at("nothing")).unwrap();
    let refusal = |words: &[&str], input: &str, out: &str, model: &Path| {
        let mut command = tessera();
        refused(command.args(words).arg(at(input)).arg("-o").arg(at(out)).arg("--model").arg(model))
    };
    for (input, says) in [
        ("picture.png", "vat takes meshes (PLY, OBJ, STL, GLB or glTF), found a picture"),
        ("text.ply", "vat takes meshes: expected a PLY"),
        ("empty.ply", "an empty file"),
        ("points.ply", "triangles"),
        ("flat.obj", "length"),
        ("missing.ply", "missing.ply"),
        ("nothing", "found none"),
    ] {
        for (words, out) in [(&["encode"][..], "out.tsr"), (&["reconstruct"], "out.png")] {
            if (input, words[0]) == ("nothing", "reconstruct") {
                continue;
            }
            let sentence = refusal(words, input, out, &model);
            assert!(sentence.contains(says), "{input} {words:?}: {sentence}");
        }
    }
    for (words, out) in [(&["encode"][..], "out.tsr"), (&["reconstruct"], "out.png")] {
        let sentence = refusal(&[words, &["--refine", "3"]].concat(), "picture.png", out, &tiny_model());
        assert!(sentence.contains("--refine"), "{sentence}");
        let sentence = refusal(words, "bar.ply", out, &tiny_model());
        assert!(sentence.contains("takes pictures") && sentence.contains("found a mesh"), "{sentence}");
    }
    assert!(refusal(&["encode", "--tile"], "bar.ply", "out.tsr", &model).contains("--tile"));
    assert!(refusal(&["reconstruct", "--variations", "2"], "bar.ply", "out.png", &model).contains("--variations"));
    assert!(refusal(&["encode"], "bar.ply", "out.xyz", &model).contains("out.xyz"));

    let mut encode = tessera();
    printed(encode.arg("encode").arg(at("bar.ply")).arg("-o").arg(at("bar.tsr")).arg("--model").arg(&model));
    for (words, out, says) in [
        (&["decode"][..], "out.xyz", "out.xyz"),
        (&["decode"], "out.png", ".glb"),
        (&["decode", "--scales", "4"], "out.ply", "1 to 3"),
        (&["decode", "--scales", "0"], "out.ply", "1 to 3"),
        (&["decode", "--keep", "0"], "out.ply", "found 0 tokens"),
        (&["decode", "--resolution", "1"], "out.ply", "2 to 1025"),
        (&["decode", "--resolution", "5000"], "out.ply", "2 to 1025"),
    ] {
        let sentence = refusal(words, "bar.tsr", out, &model);
        assert!(sentence.contains(says) && !at(out).exists(), "{words:?}: {sentence}");
    }
    let mut pictures = tessera();
    printed(pictures.arg("encode").arg(at("picture.png")).arg("-o").arg(at("p.tsr")).arg("--model").arg(tiny_model()));
    for (words, out, says) in [
        (&["decode"][..], "out.ply", "no shapes"),
        (&["decode", "--resolution", "9"], "out.png", "--resolution"),
        (&["decode", "--scales", "1"], "out.png", "--scales"),
    ] {
        let sentence = refusal(words, "p.tsr", out, &tiny_model());
        assert!(sentence.contains(says), "{words:?}: {sentence}");
    }
    // Tokens of another model.
    assert!(refusal(&["decode"], "p.tsr", "out.ply", &model).contains("another model"));
}

#[test]
fn the_built_in_generator_makes_shapes_of_its_families() {
    let folder = tempfile::tempdir().unwrap();
    let generate = |flags: &[&str]| {
        let mut command = tessera();
        command.args(["generate", "--kind", "shape", "--resolution", "17", "-o"]);
        command.arg(folder.path().join("shapes.png")).args(flags);
        command
    };
    let captions = |flags: &[&str]| -> Vec<String> {
        let report: Value = serde_json::from_str(&printed(generate(flags).arg("--json"))).unwrap();
        assert_eq!(report["generator"], "next-scale");
        serde_json::from_value(report["captions"].clone()).unwrap()
    };
    let parts = folder.path().join("parts");
    let drawn = captions(&["--count", "9", "--parts", &parts.to_string_lossy()]);
    // Every family, before one comes again.
    let mut families = drawn[..8].to_vec();
    families.sort_unstable();
    assert_eq!(families, ["bowl", "chain", "difference", "furniture", "single", "tower", "twist", "union"]);
    assert_eq!(drawn[8], drawn[0]);
    let meshes = (0..9).filter(|sample| parts.join(format!("{sample:04}.ply")).is_file()).count();
    assert!(meshes >= 6, "{meshes} of 9 shapes have a surface");
    assert_eq!(load_tokens(parts.join("tokens.tsr"), false).unwrap().tokens.positions(), 511);
    for flags in [["--exactly"].as_slice(), &["--class", "bowl"]] {
        assert!(captions(flags).is_empty(), "{flags:?}");
    }
    let said = refused(&mut generate(&["--class", "chair"]));
    assert!(said.contains("one of single, union") && said.contains("chair"), "{said}");
}
