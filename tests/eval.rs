//! `tessera eval` and its figures.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{picture, printed, refused, tessera, tiny_model};
use serde_json::Value;
use tessera::datasets::{Picture, save_png};
use tessera::eval::{ms_ssim, similarities, ssim};

fn eval(data: &Path, arguments: &[&str]) -> Command {
    let mut command = judged(data, arguments);
    command.arg("--no-networks");
    command
}

/// With the networks that judge pictures.
fn judged(data: &Path, arguments: &[&str]) -> Command {
    let mut command = tessera();
    command.arg("eval").arg(data).args(["--model"]).arg(tiny_model()).args(arguments);
    command
}

fn json(command: &mut Command) -> Value {
    let text = printed(command.arg("--json"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Two pictures in a folder of their own.
fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir_all(data.join("below")).unwrap();
    picture(&data, "one.png", 45, 30);
    picture(&data.join("below"), "two.png", 60, 40);
    (folder, data)
}

/// The pictures of tests/data/similarity.py.
fn pair(width: u32, height: u32) -> [Picture; 2] {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for y in 0..height {
        for x in 0..width {
            let values = [(x * 3 + y * 2) % 256, (x * x / 40 + y * 5) % 256, (x * y / 16 + 77) % 256];
            let noise = [(x * 31 + y * 17) % 41, (x * 13 + y * 29) % 23, (x * 7 + y * 3) % 61];
            for (value, noise) in values.into_iter().zip(noise) {
                first.push(value as u8);
                second.push((value * 7 / 8 + noise).min(255) as u8);
            }
        }
    }
    [first, second].map(|rgb| Picture::new(width, height, rgb).unwrap())
}

#[test]
fn similarities_are_those_of_pytorch() {
    let expected = [
        (11, 11, 0.431629662579, None),
        (64, 40, 0.504666835012, None),
        (161, 161, 0.641447376093, Some(0.949918645206)),
        (203, 176, 0.664675962402, Some(0.955440776103)),
    ];
    for (width, height, single, multi) in expected {
        let [a, b] = pair(width, height);
        let found = ssim(&a, &b).unwrap().unwrap();
        assert!((found - single).abs() < 1e-9, "{width}x{height}: SSIM {found}, expected {single}");
        let found = ms_ssim(&a, &b).unwrap();
        assert_eq!(found.is_some(), multi.is_some(), "{width}x{height}");
        if let (Some(found), Some(multi)) = (found, multi) {
            assert!((found - multi).abs() < 1e-9, "{width}x{height}: MS-SSIM {found}, expected {multi}");
        }
        let (one, _) = similarities(&a, &a).unwrap();
        assert!((one.unwrap() - 1.0).abs() < 1e-9);
    }
    let [small, other] = pair(10, 40);
    assert_eq!(ssim(&small, &other).unwrap(), None);
    assert!(ssim(&small, &pair(40, 10)[0]).is_err());
}

#[test]
fn the_report_has_every_figure() {
    let (folder, data) = folder();
    let out = folder.path().join("report");
    let mut command = eval(&data, &["--tokens", "2,10", "--tile", "--overlap", "4", "--baselines", "jpeg:5,webp:0"]);
    let printed = json(command.arg("-o").arg(&out));
    let saved: Value = serde_json::from_slice(&std::fs::read(out.join("report.json")).unwrap()).unwrap();
    assert_eq!(printed["report"]["points"], saved["report"]["points"]);
    assert!(saved["options"].as_array().unwrap().contains(&"--overlap".into()));
    let report = &saved["report"];
    assert_eq!((&report["pictures"], &report["framing"]["overlap"]), (&2.into(), &4.into()));
    assert_eq!(report["model"]["architecture"], "one-d-piece");
    let points = report["points"].as_array().unwrap();
    let methods: Vec<_> = points.iter().map(|point| point["method"].to_string()).collect();
    let expected =
        [r#"{"tokens":2}"#, r#"{"tokens":10}"#, r#"{"codec":"jpeg","quality":5}"#, r#"{"codec":"webp","quality":0}"#];
    assert_eq!(methods, expected);
    for point in points {
        let pictures = point["pictures"].as_array().unwrap();
        let names: Vec<_> = pictures.iter().map(|picture| picture["name"].as_str().unwrap()).collect();
        assert!(names[0].ends_with("two.png") && names[1].ends_with("one.png"), "{names:?}");
        let mean = |key: &str| pictures.iter().map(|picture| picture[key].as_f64().unwrap()).sum::<f64>() / 2.0;
        for key in ["bits_per_pixel", "psnr_db", "ssim"] {
            let found = point["mean"][key].as_f64().unwrap();
            assert!((found - mean(key)).abs() < 1e-9, "{key}");
        }
        assert!(point["mean"]["psnr_of_mean_mse_db"].as_f64().unwrap() <= mean("psnr_db"));
        assert_eq!((&point["mean"]["ms_ssim"], &point["mean"]["ms_ssim_pictures"]), (&Value::Null, &0.into()));
    }
    // Tiles of 16 that share 4: 5 x 3 cover 60 x 40, 4 x 3 cover 45 x 30; 50 codes.
    let bits = |tiles: f64, pixels: f64| tiles * 10.0 * 50_f64.log2() / pixels;
    let expected = (bits(15.0, 2400.0) + bits(12.0, 1350.0)) / 2.0;
    assert!((points[1]["mean"]["bits_per_pixel"].as_f64().unwrap() - expected).abs() < 1e-9);
    assert_eq!(points[1]["usage"][0]["tokens"], 270);
    let svg = std::fs::read_to_string(out.join("rate-distortion.svg")).unwrap();
    for text in ["bits per pixel", "PSNR in dB", "jpeg", "webp", "tokens", "</svg>"] {
        assert!(svg.contains(text), "{text}");
    }
    assert!(!svg.contains("href") && !svg.contains("NaN"), "nothing from elsewhere");
}

#[test]
fn networks_judge_pictures_and_sets() {
    let (folder, data) = folder();
    let out = folder.path().join("report");
    let mut command = judged(&data, &["--tile", "--tokens", "10", "--baselines", "jpeg:5,95"]);
    let report = json(command.arg("-o").arg(&out));
    let points = report["report"]["points"].as_array().unwrap();
    let effd: Vec<f64> = points.iter().map(|point| point["mean"]["perceptual"]["effd"].as_f64().unwrap()).collect();
    assert!(effd[2] < effd[1] && effd[1] < effd[0], "random weights, JPEG 5, JPEG 95: {effd:?}");
    for point in points {
        let distance = &point["sets"]["KID-EffLite0"];
        assert_eq!((&distance["pictures"], &distance["deviation"]), (&2.into(), &Value::Null));
        assert!(distance["value"].is_number());
    }
    let svg = std::fs::read_to_string(out.join("rate-distortion.svg")).unwrap();
    assert!(svg.contains("effd, less is better"));
}

#[test]
fn better_codecs_cost_more() {
    let (_folder, data) = folder();
    let report = json(&mut eval(&data, &["--tile", "--tokens", "1", "--baselines", "jpeg:5-95/30,webp:5-95/30"]));
    for codec in ["jpeg", "webp"] {
        let points = report["report"]["points"].as_array().unwrap();
        let points: Vec<_> = points.iter().filter(|point| point["method"]["codec"] == codec).collect();
        assert_eq!(points.len(), 4);
        for key in ["bits_per_pixel", "psnr_db", "ssim"] {
            let figures: Vec<f64> = points.iter().map(|point| point["mean"][key].as_f64().unwrap()).collect();
            assert!(figures.is_sorted(), "{codec} {key}: {figures:?}");
        }
    }
}

#[test]
fn corrupt_pictures_are_named_and_passed_over_or_fatal() {
    let (_folder, data) = folder();
    std::fs::write(data.join("broken.png"), "no picture").unwrap();
    picture(&data, "narrow.png", 100, 3);
    let report = json(&mut eval(&data, &["--tokens", "10"]));
    let skipped = report["skipped"].as_array().unwrap();
    let names: Vec<_> = skipped.iter().map(|skipped| skipped["name"].as_str().unwrap()).collect();
    assert!(names.len() == 2 && names[0].ends_with("broken.png") && names[1].ends_with("narrow.png"), "{names:?}");
    assert_eq!(report["report"]["pictures"], 2);
    assert!(printed(&mut eval(&data, &["--tokens", "10"])).contains("broken.png"));
    assert!(refused(&mut eval(&data, &["--strict"])).contains("broken.png"));

    let sentence = refused(&mut eval(&data.join("broken.png"), &[]));
    assert!(sentence.contains("none of 1 pictures"), "{sentence}");
    assert!(refused(&mut eval(&data.join("missing.png"), &[])).contains("missing.png"));
}

#[test]
fn one_square_of_one_token_uses_one_code() {
    let folder = tempfile::tempdir().unwrap();
    let data = picture(folder.path(), "picture.png", 50, 40);
    let report = json(&mut eval(&data, &["--tokens", "1"]));
    let point = &report["report"]["points"][0];
    assert_eq!(point["usage"][0]["used"], 1);
    assert_eq!((&point["usage"][0]["share"], &point["usage"][0]["perplexity"]), (&0.02.into(), &1.0.into()));
    assert_eq!((&point["pictures"][0]["width"], &report["report"]["framing"]["tiled"]), (&16.into(), &false.into()));
}

#[test]
fn a_batch_changes_no_figure() {
    let (_folder, data) = folder();
    picture(&data, "three.png", 31, 70);
    // The sums of a matrix product may come in another order, so that single bytes differ by one.
    let psnr = |arguments: &[&str]| {
        let report = json(&mut eval(&data, arguments));
        let points = report["report"]["points"].as_array().unwrap();
        points.iter().map(|point| point["mean"]["psnr_db"].as_f64().unwrap()).collect::<Vec<_>>()
    };
    for how in [&["--batch", "2"][..], &["--batch", "1", "--tile"]] {
        let (batch, usual) = (psnr(how), psnr(how.get(2..).unwrap()));
        assert!(batch.len() == usual.len() && batch.iter().zip(&usual).all(|(a, b)| (a - b).abs() < 1e-3), "{how:?}");
    }
    let limited = json(&mut eval(&data, &["--limit", "2"]));
    assert_eq!(limited["report"]["pictures"], 2);
}

#[test]
fn a_threshold_decides_the_exit_code() {
    let (_folder, data) = folder();
    printed(&mut eval(&data, &["--tokens", "2,10", "--min-psnr", "1"]));
    let output = eval(&data, &["--tokens", "2,10", "--min-psnr", "90"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("FAILED"));
}

#[test]
fn wrong_options_are_refused() {
    let (folder, data) = folder();
    for (arguments, says) in [
        (&["--baselines", "gif:5"][..], "jpeg:1-20"),
        (&["--tokens", "11"], "1 to 10"),
        (&["--tile", "--overlap", "8"], "overlap"),
        (&["-o", "no/such/folder"], "no/such/folder"),
    ] {
        let sentence = refused(&mut eval(&data, arguments));
        assert!(sentence.contains(says), "{sentence}");
    }
    for wrong in [&["--overlap", "2"][..], &["--limit", "0"], &["--batch", "x"]] {
        assert_eq!(eval(&data, wrong).output().unwrap().status.code(), Some(2), "{wrong:?}");
    }
    assert!(refused(&mut eval(&folder.path().join("none"), &[])).contains("none"));
}

#[test]
fn overlapping_tiles_go_through_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let image = picture(folder.path(), "picture.png", 45, 30);
    for name in ["tokens.tsr", "tokens.safetensors"] {
        let (tokens, out) = (folder.path().join(name), folder.path().join(format!("{name}.png")));
        let mut encode = tessera();
        encode.arg("encode").arg(&image).arg("-o").arg(&tokens).args(["--tile", "--overlap", "5"]);
        let report = json(encode.arg("--model").arg(tiny_model()));
        assert_eq!(report["files"][0]["tiles"], 12);
        let facts = printed(tessera().arg("inspect").arg(&tokens));
        assert!(facts.contains("in tiles of 16 pixels that share 5"), "{facts}");
        printed(tessera().arg("decode").arg(&tokens).arg("-o").arg(&out).arg("--model").arg(tiny_model()));
        let decoded = tessera::datasets::load_picture(&out, &Default::default()).unwrap();
        assert_eq!((decoded.width(), decoded.height()), (45, 30));
    }
}

#[test]
fn samples_are_compared_with_what_was_learnt_and_what_was_not() {
    let folder = tempfile::tempdir().unwrap();
    let [samples, learnt, unseen] = ["samples", "learnt", "unseen"].map(|name| folder.path().join(name));
    for (at, set) in [&samples, &learnt, &unseen].into_iter().enumerate() {
        std::fs::create_dir(set).unwrap();
        for number in 0..3 {
            let colours = [40 * at as u8 + 60 * number, 200 - 50 * number, 90 * at as u8];
            Picture::filled(32, 32, colours)
                .map(|picture| save_png(set.join(format!("{number}.png")), &picture))
                .unwrap()
                .unwrap();
        }
    }
    // One sample is a training picture.
    std::fs::copy(learnt.join("1.png"), samples.join("3.png")).unwrap();
    let out = folder.path().join("report");
    let mut command = tessera();
    command.arg("eval").arg(&samples).arg("--against").arg(&unseen).arg("--learnt").arg(&learnt).arg("-o").arg(&out);
    let found = json(&mut command);
    let report = &found["report"];
    assert_eq!((report["samples"].as_u64(), report["against"].as_u64()), (Some(4), Some(3)));
    assert!(report["sets"]["KID-EffLite0"]["value"].as_f64().is_some_and(f64::is_finite), "{report}");
    let nearest = &report["repetition"]["nearest"][3];
    assert_eq!((nearest["index"].as_u64(), nearest["distance"].as_f64()), (Some(1), Some(0.0)), "{report}");
    assert!(report["repetition"]["share_near"].as_f64().is_some_and(|share| share >= 0.25), "{report}");
    assert!(out.join("nearest.png").is_file() && out.join("report.json").is_file());

    let mut command = tessera();
    let said = refused(command.arg("eval").arg(&samples).arg("--learnt").arg(&learnt));
    assert!(said.contains("--against"), "{said}");
    picture(&samples, "other.png", 30, 20);
    let mut command = tessera();
    let said = refused(command.arg("eval").arg(&samples).arg("--against").arg(&unseen));
    assert!(said.contains("squares of one size"), "{said}");
}

#[test]
fn classes_are_told_by_their_nearest_neighbours() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let mut table = String::from("file,colour,split\n");
    for at in 0..8_u8 {
        let rgb = if at % 2 == 0 { [200 + at, 20, 30 + at] } else { [20 + at, 30, 220 - at] };
        save_png(data.join(format!("{at}.png")), &Picture::filled(20, 20, rgb).unwrap()).unwrap();
        table += &format!("{at}.png,{},{}\n", at % 2, if at < 4 { "first" } else { "second" });
    }
    let labels = folder.path().join("labels.csv");
    std::fs::write(&labels, table).unwrap();
    let source = |rest: &str| format!("{{path = {data:?}, labels = {labels:?}{rest}}}");
    let run = |arguments: &[&str]| {
        let mut command = tessera();
        command.arg("eval").arg("--model").arg(tiny_model()).args(arguments);
        command
    };
    let whole = source(", class_column = \"colour\"");
    let report = json(&mut run(&["--knn", &whole, "--neighbours", "3"]))["report"].clone();
    assert_eq!(
        [&report["neighbours"], &report["pictures"], &report["among"], &report["classes"]].map(|value| value.as_u64()),
        [Some(3), Some(8), Some(8), Some(2)]
    );
    assert_eq!((report["leave_one_out"].as_bool(), report["largest_class"].as_f64()), (Some(true), Some(0.5)));
    let figures = report["figures"].as_array().unwrap();
    assert_eq!(figures[0]["vectors"], "tokens");
    assert_eq!((&figures[1]["vectors"], figures[1]["accuracy"].as_f64()), (&Value::from("pixels, 8 x 8"), Some(1.0)));

    let [first, second] =
        ["first", "second"].map(|split| source(&format!(", class_column = \"colour\", split = \"{split}\"")));
    let out = folder.path().join("report");
    assert_eq!(figures[2]["vectors"], "EfficientNet-Lite0");
    assert_eq!(figures.len(), 3);
    let arguments = ["--knn", &second, "--knn-among", &first, "--neighbours", "1", "--no-networks", "-o"];
    let text = printed(run(&arguments).arg(&out));
    assert!(!text.contains("EfficientNet"), "{text}");
    assert!(
        text.contains("pixels, 8 x 8") && text.contains("100.0 %") && text.contains("nearest of 4 others"),
        "{text}"
    );
    assert!(out.join("report.json").is_file());

    let sentence = refused(&mut run(&["--knn", &source("")]));
    assert!(sentence.contains("class_column"), "{sentence}");
    let sentence = refused(run(&["--knn", &whole]).arg(&data));
    assert!(sentence.contains("beside --knn"), "{sentence}");
}
