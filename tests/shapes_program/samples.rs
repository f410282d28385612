//! Shapes that the program generates.

use serde_json::Value;
use tessera::datasets::load_picture;
use tessera::datasets::shape::load_mesh;
use tessera::tokenizers::load_tokens;
use tessera::{DecodeOptions, Error, decode_shape, decode_shapes};

use super::common::{picture, printed, refused, tessera};
use super::models::{generator, json_of, open, vat};

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
