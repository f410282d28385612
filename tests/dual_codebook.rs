//! TokenFlow, DualToken and TokenFlow's generator through the program.

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use burn::tensor::Device;
use common::{picture, printed, random_tokenizer, refused, tessera, tiny};
use serde_json::{Value, json};
use tessera::generators::tokenflow_t2i::{TokenFlowT2iConfig, TokenFlowT2iNetwork};
use tessera::layers::ParamSource;
use tessera::layers::checkpoint::{Weights, save_module};
use tessera::tokenizers::load_tokens;

struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pictures = folder.path().join("pictures");
        fs::create_dir(&pictures).unwrap();
        for at in 0..5 {
            picture(&pictures, &format!("{at}.png"), 20 + 3 * at, 24 + at);
        }
        Self(folder)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A model of this configuration with random weights.
    fn model(&self, name: &str, document: &Value) -> PathBuf {
        random_tokenizer(&self.at(name), document);
        self.at(name)
    }

    fn train(&self, out: &str, document: &Value, flags: &[&str]) -> Command {
        let config = self.at(&format!("{out}.json"));
        fs::write(&config, document.to_string()).unwrap();
        let mut command = tessera();
        command.args(["train", "--steps", "6", "--batch-size", "3", "--checkpoint-every", "3", "--log-every", "1"]);
        command.args(["--validate-every", "6", "--validation-pictures", "3", "--sample-pictures", "2", "--seed", "3"]);
        command.arg("--data").arg(self.at("pictures")).arg("--validation").arg(self.at("pictures"));
        command.arg("--architecture").arg(&config).arg("--out").arg(self.at(out)).args(flags);
        command
    }

    fn lines(&self, out: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.at(out).join("metrics.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[test]
fn pictures_go_to_scales_and_back_and_coarse_ones_come_of_the_first() {
    let bench = Bench::new();
    let (model, out) = (bench.model("tokenflow", &tiny::tokenflow(&[1, 2, 4], 50)), bench.at("out.tsr"));
    let image = bench.at("pictures/2.png");
    printed(tessera().arg("encode").arg(&image).arg("-o").arg(&out).arg("--model").arg(&model));
    let tokens = load_tokens(&out, false).unwrap().tokens;
    assert_eq!((tokens.positions(), tokens.vocab()), (21, [50].as_slice()));
    let decoded = bench.at("decoded.png");
    printed(tessera().arg("decode").arg(&out).arg("-o").arg(&decoded).arg("--model").arg(&model));
    assert!(decoded.is_file());
    // By default every scale's end.
    let sheet = bench.at("sheet.png");
    let mut reconstruct = tessera();
    reconstruct.arg("reconstruct").arg(&image).arg("-o").arg(&sheet).arg("--model").arg(&model);
    printed(&mut reconstruct);
    let sentence = refused(reconstruct.args(["--tokens", "7"]));
    assert!(sentence.contains("whole scales") && sentence.contains("[1, 5, 21]"), "{sentence}");

    let facts = printed(tessera().args(["--json", "inspect"]).arg(&model));
    let facts: Value = serde_json::from_str(&facts).unwrap();
    assert_eq!(facts["fits_its_config"], "yes", "{facts}");
}

#[test]
fn a_position_of_dualtoken_has_codes_of_two_kinds() {
    let bench = Bench::new();
    let (model, out) = (bench.model("dualtoken", &tiny::dualtoken()), bench.at("out.tsr"));
    let image = bench.at("pictures/1.png");
    printed(tessera().arg("encode").arg(&image).arg("-o").arg(&out).arg("--model").arg(&model));
    let tokens = load_tokens(&out, false).unwrap().tokens;
    assert_eq!((tokens.positions(), tokens.vocab()), (16, [30, 30, 30, 20, 20].as_slice()));
    printed(tessera().arg("decode").arg(&out).arg("-o").arg(bench.at("decoded.png")).arg("--model").arg(&model));
    let facts = printed(tessera().args(["--json", "inspect"]).arg("--model").arg(&model));
    let facts: Value = serde_json::from_str(&facts).unwrap();
    assert_eq!(facts["codes_of_a_position"][3], "semantic 1", "{facts}");
}

#[test]
fn pictures_are_generated_from_ids_of_text() {
    let bench = Bench::new();
    let tokenizer = bench.model("tokenflow", &tiny::tokenflow(&[1, 2, 4], 50));
    let document = json!({
        "model_type": "llava_llama", "mm_vision_tower": tokenizer, "tokenizer": tiny::tokenflow(&[1, 2, 4], 50),
        "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 1, "num_attention_heads": 4, "vocab_size": 61,
        "image_token_start": 11, "pad_token_id": 10, "sampling": {"cfg": 2.0},
    });
    let folder = bench.at("t2i");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("config.json"), document.to_string()).unwrap();
    let source = ParamSource::seeded(2, &Device::flex());
    let config = TokenFlowT2iConfig::from_value(&document).unwrap();
    let network = TokenFlowT2iNetwork::new(&source.root(), &config).unwrap();
    save_module(&network, &source.into_taken(), &folder.join("model.safetensors"), Default::default()).unwrap();

    let (grid, parts) = (bench.at("grid.png"), bench.at("parts"));
    let mut generate = tessera();
    generate.arg("generate").arg("--model").arg(&folder).arg("--tokenizer").arg(&tokenizer).arg("-o").arg(&grid);
    let sentence = refused(&mut generate);
    assert!(sentence.contains("text as ids"), "{sentence}");
    generate.args(["--prompt-ids", "1,4,7", "--negative-ids", "1,5", "--count", "2", "--steps", "2", "--parts"]);
    printed(generate.arg(&parts));
    assert!(grid.is_file());
    let tokens = load_tokens(parts.join("tokens.tsr"), false).unwrap().tokens;
    assert_eq!((tokens.batch(), tokens.positions()), (2, 21));
    let facts = printed(tessera().args(["--json", "inspect"]).arg(&folder));
    let facts: Value = serde_json::from_str(&facts).unwrap();
    assert_eq!(facts["fits_its_config"], "yes", "{facts}");
}

#[test]
fn both_train_and_a_run_that_stopped_resumes_to_the_same_bits() {
    let bench = Bench::new();
    for (name, document, terms) in [
        ("tokenflow", tiny::tokenflow(&[1, 2, 4], 50), ["mse", "quantizer", "semantic", "entropy"].as_slice()),
        ("dualtoken", tiny::dualtoken(), ["mse", "quantizer", "semantic"].as_slice()),
    ] {
        let (whole, resumed) = (format!("{name}-whole"), format!("{name}-resumed"));
        printed(&mut bench.train(&whole, &document, &[]));
        printed(&mut bench.train(&resumed, &document, &[]));
        fs::remove_dir_all(bench.at(&resumed).join("checkpoints/00000006")).unwrap();
        printed(&mut bench.train(&resumed, &document, &["--resume"]));
        for file in ["model.safetensors", "config.json"] {
            let read = |out: &str| fs::read(bench.at(out).join(file)).unwrap();
            assert!(read(&whole) == read(&resumed), "{name}: {file}");
        }
        let lines = bench.lines(&whole);
        let first = lines.iter().find(|line| line["kind"] == "train").unwrap();
        for term in terms {
            assert!(first["losses"][term].as_f64().unwrap().is_finite(), "{name}: {term}: {first}");
        }
        assert!(tessera::tokenizers::from_pretrained(&bench.at(&whole).to_string_lossy(), &Device::flex()).is_ok());
    }
    // The codebooks of DualToken moved, without gradients, and are one under every depth.
    let weights = Weights::open(&bench.at("dualtoken-whole/model.safetensors")).unwrap();
    for kind in ["pix", "sem"] {
        let read = |tensor: &str| weights.read_f32(&format!("quantizer_{kind}.codebooks.{tensor}")).unwrap();
        assert_eq!(read("0.weight"), read("1.weight"));
        assert!(read("0.cluster_size_ema").iter().all(|size| *size > 0.0));
    }
}

#[test]
fn semantic_codes_learn_from_efficientnet_and_its_heads_are_no_part_of_the_model() {
    let bench = Bench::new();
    let flags = ["--alignment-weight", "0.5"];
    printed(&mut bench.train("dual", &tiny::dualtoken(), &flags));
    let mut flow = tiny::tokenflow(&[1, 2, 4], 50);
    let sentence = refused(&mut bench.train("refused", &flow, &flags));
    assert!(sentence.contains("decoder_out_dim") && sentence.contains("112"), "{sentence}");
    flow["decoder_out_dim"] = json!(112);
    printed(&mut bench.train("flow", &flow, &flags));
    for (run, term) in [("dual", "alignment"), ("flow", "semantic")] {
        let lines = bench.lines(run);
        let first = lines.iter().find(|line| line["kind"] == "train").unwrap();
        let losses = first["losses"].as_object().unwrap();
        assert!(losses[term].as_f64().unwrap().abs() < 2.0, "{run}: {first}");
        // One teacher, not both.
        assert!(run == "flow" || !losses.contains_key("semantic"), "{first}");
        let model = bench.at(run).join("model.safetensors");
        assert!(Weights::open(&model).unwrap().entries().iter().all(|entry| !entry.name.contains("alignment")));
        assert!(tessera::tokenizers::from_pretrained(&bench.at(run).to_string_lossy(), &Device::flex()).is_ok());
    }
}

#[test]
fn a_tower_learns_alone_and_the_next_stage_starts_from_it() {
    let bench = Bench::new();
    for (name, mut document, tower) in [
        ("flow", tiny::tokenflow(&[1, 2, 4], 50), "encoder_vqkd."),
        ("dual", tiny::dualtoken(), "siglip_model.vision_model."),
    ] {
        if name == "flow" {
            let sentence = refused(&mut bench.train("refused", &document, &["--stage", "tower"]));
            assert!(sentence.contains("decoder_out_dim is 112 or 1280"), "{sentence}");
            document["decoder_out_dim"] = json!(1280);
        }
        let (first, tower_run) = (format!("{name}-start"), format!("{name}-tower"));
        printed(&mut bench.train(&first, &document, &["--stage", "tower", "--learning-rate", "0", "--ema-decay", "0"]));
        let flags = ["--stage", "tower", "--learning-rate", "1e-3", "--warmup-steps", "0", "--ema-decay", "0"];
        printed(&mut bench.train(&tower_run, &document, &flags));
        // The tower moved, nothing else did, and the heads that taught it are gone.
        let [start, end] =
            [&first, &tower_run].map(|run| Weights::open(&bench.at(run).join("model.safetensors")).unwrap());
        let mut moved = 0;
        for entry in start.entries() {
            let is_same = start.read_f32(&entry.name).unwrap() == end.read_f32(&entry.name).unwrap();
            moved += usize::from(!is_same);
            assert!(is_same || entry.name.starts_with(tower), "{}", entry.name);
            assert!(!entry.name.contains("alignment"), "{}", entry.name);
        }
        assert!(moved > 8, "{name}: {moved} tensors moved");
        // Learning by heart: likeness of the pictures that it learns from grows.
        let lines = bench.lines(&tower_run);
        let likeness = |line: &Value| line["losses"]["alignment"].as_f64().unwrap();
        let train: Vec<&Value> = lines.iter().filter(|line| line["kind"] == "train").collect();
        assert!(likeness(train.last().unwrap()) < likeness(train[0]), "{train:?}");
        let judged = lines.iter().find(|line| line["kind"] == "validation").unwrap();
        assert!((-1.0..=1.0).contains(&judged["loss"].as_f64().unwrap()), "{judged}");

        let from = bench.at(&tower_run);
        printed(
            bench.train(&format!("{name}-next"), &document, &["--alignment-weight", "0.5"]).arg("--from").arg(&from),
        );
        let sentence =
            refused(&mut bench.train("refused", &document, &["--stage", "tower", "--perceptual-weight", "1"]));
        assert!(sentence.contains("perceptual_weight"), "{sentence}");
    }
}

#[test]
fn each_learns_with_the_discriminator_of_its_own_recipe() {
    let bench = Bench::new();
    let flags = ["--adversarial-weight", "0.1", "--adversarial-from", "2"];
    let sentence = refused(&mut bench.train("small", &tiny::tokenflow(&[1, 2, 4], 50), &flags));
    assert!(sentence.contains("patch_gan needs 24"), "{sentence}");
    let mut large = tiny::tokenflow(&[1, 2, 4], 50);
    (large["image_size"], large["encoder_ch_mult"], large["decoder_ch_mult"]) =
        (json!(24), json!([1, 1]), json!([1, 1]));
    (large["scales"], large["semantic_encoder"]["patch_size"]) = (json!([1, 12]), json!(2));
    for (run, document, width) in [("flow", large, "8"), ("dual", tiny::dualtoken(), "32")] {
        let flags = [flags.as_slice(), &["--discriminator-width", width]].concat();
        printed(&mut bench.train(run, &document, &flags));
        let whole = fs::read(bench.at(run).join("model.safetensors")).unwrap();
        fs::remove_dir_all(bench.at(run).join("checkpoints/00000006")).unwrap();
        printed(bench.train(run, &document, &flags).arg("--resume"));
        assert!(whole == fs::read(bench.at(run).join("model.safetensors")).unwrap(), "{run}");
        let lines = bench.lines(run);
        let term = |step: u64, name: &str| {
            let line = lines.iter().find(|line| line["kind"] == "train" && line["step"] == step).unwrap();
            line["losses"][name].as_f64()
        };
        assert!(term(1, "discriminator").is_none() && term(6, "discriminator").unwrap().is_finite(), "{run}");
        assert!(term(6, "adversarial").unwrap().is_finite(), "{run}");
        // DualToken's is balanced.
        assert!(term(1, "balance").is_none(), "{run}");
        match (run, term(6, "balance")) {
            ("dual", Some(balance)) => assert!((0.29..10.01).contains(&balance), "{balance}"),
            (run, balance) => assert!(run == "flow" && balance.is_none(), "{run} {balance:?}"),
        }
    }
    let dual = [flags.as_slice(), &["--discriminator-width", "32", "--adversarial-balance"]].concat();
    let fixed = [dual.as_slice(), &["fixed"]].concat();
    printed(&mut bench.train("fixed", &tiny::dualtoken(), &fixed));
    assert!(bench.lines("fixed").iter().all(|line| line["losses"].get("balance").is_none()));
    let weights = ["dual", "fixed"].map(|run| fs::read(bench.at(run).join("model.safetensors")).unwrap());
    assert!(weights[0] != weights[1]);
    let adaptive = [flags.as_slice(), &["--adversarial-balance", "adaptive"]].concat();
    let sentence = refused(&mut bench.train("refused", &tiny::tokenflow(&[1, 2, 4], 50), &adaptive));
    assert!(sentence.contains("loss.adversarial_balance"), "{sentence}");
}

#[test]
fn dead_pairs_of_tokenflow_move_onto_what_was_looked_up() {
    let bench = Bench::new();
    printed(&mut bench.train("kept", &tiny::tokenflow(&[1, 2, 4], 50), &["--ema-decay", "0"]));
    printed(&mut bench.train("moved", &tiny::tokenflow(&[1, 2, 4], 50), &["--ema-decay", "0", "--reseed-every", "6"]));
    let [kept, moved] = ["kept", "moved"].map(|run| Weights::open(&bench.at(run).join("model.safetensors")).unwrap());
    let rows = |weights: &Weights, name: &str, width: usize| -> Vec<Vec<f32>> {
        let values = weights.read_f32(&format!("quantize.embedding_{name}.weight")).unwrap();
        values.chunks(width).map(<[f32]>::to_vec).collect()
    };
    // The same pairs in both codebooks, now of unit length; others stayed.
    let changed = |name: &str, width: usize| -> Vec<usize> {
        let (before, after) = (rows(&kept, name, width), rows(&moved, name, width));
        let changed: Vec<usize> = (0..50).filter(|&row| before[row] != after[row]).collect();
        for &row in &changed {
            let length = after[row].iter().map(|value| value * value).sum::<f32>().sqrt();
            assert!((length - 1.0).abs() < 1e-4, "{name} {row}: {length}");
        }
        changed
    };
    let codes = changed("vqkd", 6);
    assert!(!codes.is_empty() && codes.len() < 50, "{codes:?}");
    assert_eq!(codes, changed("vqgan", 4));
}

#[test]
fn neighbours_are_found_by_either_kind_of_codes() {
    let bench = Bench::new();
    let table = (0..5).map(|at| format!("{at}.png,{}\n", at % 2)).collect::<String>();
    fs::write(bench.at("labels.csv"), format!("file,kind\n{table}")).unwrap();
    let labels = bench.at("labels.csv");
    let source = format!("{{path = {:?}, labels = {labels:?}, class_column = \"kind\"}}", bench.at("pictures"));
    for (name, document, features) in [
        ("tokenflow", tiny::tokenflow(&[1, 2, 4], 50), "semantic features of tokens, mean"),
        ("dualtoken", tiny::dualtoken(), "semantic features of tokens"),
    ] {
        let model = bench.model(name, &document);
        let text = printed(tessera().args(["--json", "eval", "--knn", &source, "--model"]).arg(&model));
        let report: Value = serde_json::from_str(&text).unwrap();
        let figures = report["report"]["figures"].as_array().unwrap();
        let names: Vec<&str> = figures.iter().map(|figure| figure["vectors"].as_str().unwrap()).collect();
        for wanted in ["semantic codes", "pixel codes", features, "pixels, 8 x 8"] {
            assert!(names.contains(&wanted), "{names:?}");
        }
    }
}
