//! Wrong input, refused in a sentence.

use std::path::Path;

use tessera::datasets::shape::save_mesh;

use super::common::{picture, printed, refused, tessera, tiny_model};
use super::models::{bar, vat};

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
