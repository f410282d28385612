//! The matrix: every generator learns from every tokenizer's tokens and makes pictures of them, through the program.

#[path = "../common/mod.rs"]
mod common;

mod bench;
mod generators;
mod scales;
mod tokenizers;

use std::fs;

use bench::Bench;
use common::tiny::dualtoken;
use common::{printed, refused, tessera, tiny_model};
use generators::{decoder, layout_of, nar, token_shuffle, xar};
use serde_json::{Value, json};
use tessera::Codec;
use tessera::generators::Content;
use tessera::layers::checkpoint::{NamedTensor, Precision, TensorEntry, Weights, write_safetensors};
use tessera::tokenizers::autoencoder_kl::AutoencoderKlConfig;
use tessera::tokenizers::load_tokens;
use tessera::tokenizers::mar_kl::MarKlConfig;
use tokenizers::{flextok, seed_pixels};

/// Pixels along a picture's side.
const SIDE: usize = 16;

#[test]
fn every_generator_learns_from_every_tokenizer() {
    let bench = Bench::new();
    let vq = json!({
        "codebook_size": 24, "codebook_embed_dim": 4, "encoder_ch_mult": [1, 1, 1], "decoder_ch_mult": [1, 1, 1], "z_channels": 8,
        "ch": 32, "num_res_blocks": 1, "image_size": SIDE,
    });
    let tokenizers = [
        ("one-d-piece", tiny_model()),
        ("flextok", bench.tokenizer("flextok", &flextok())),
        ("llamagen-vq", bench.tokenizer("llamagen-vq", &vq)),
        ("seed-pixels", bench.tokenizer("seed-pixels", &seed_pixels())),
        ("dualtoken", bench.tokenizer("dualtoken", &dualtoken())),
    ];
    for (name, tokenizer) in &tokenizers {
        let open = || Codec::open(tokenizer.to_str(), &burn::tensor::Device::flex()).unwrap();
        let (ids, vectors) = (open().with_one_code(), open().with_latents().unwrap());
        let Content::Codes { vocab } = ids.content() else { panic!("{name} has no ids") };
        let Content::Latents { channels } = vectors.content() else { panic!("{name} has no code vectors") };
        let (codes, positions) = (vocab[0] as usize, ids.layout().positions());
        let layout = layout_of(&ids.layout());
        for (kind, architecture) in [
            ("next-token", decoder(codes, layout.clone(), positions)),
            ("nar", nar(codes, layout.clone(), positions)),
            ("token-shuffle", token_shuffle(codes, layout.clone(), positions)),
            ("xar", xar(channels, layout_of(&vectors.layout()))),
        ] {
            let run = format!("{name}-{kind}");
            bench.train_and_generate(&run, tokenizer, &architecture);
        }
    }
    // Codes of a position took turns, and came back as such.
    for kind in ["next-token", "nar", "token-shuffle"] {
        let config = fs::read_to_string(bench.at(&format!("dualtoken-{kind}/config.json"))).unwrap();
        let config: Value = serde_json::from_str(&config).unwrap();
        assert_eq!(config["turns"], json!([30, 30, 30, 20, 20]), "{kind}");
        let tokens = load_tokens(bench.at(&format!("dualtoken-{kind}-parts/tokens.tsr")), false).unwrap().tokens;
        assert_eq!((tokens.vocab(), tokens.positions()), (&[30, 30, 30, 20, 20][..], 16), "{kind}");
    }
    let mut completed = tessera();
    completed.args(["generate", "--count", "2", "--prompt", "red square", "-o"]).arg(bench.at("completed.png"));
    completed.arg("--model").arg(bench.at("dualtoken-nar")).arg("--tokenizer").arg(&tokenizers[4].1);
    completed.arg("--image").arg(bench.at("pictures/0.png")).args(["--keep-region", "0,0,50,100"]);
    assert!(!printed(&mut completed).is_empty());

    // Autoencoders of latents.
    let kl = AutoencoderKlConfig {
        down_block_types: vec!["DownEncoderBlock2D".to_owned(); 3],
        up_block_types: vec!["UpDecoderBlock2D".to_owned(); 3],
        block_out_channels: vec![8; 3],
        norm_num_groups: 4,
        sample_size: Some(SIDE),
        ..AutoencoderKlConfig::default()
    };
    let mar = MarKlConfig {
        embed_dim: 3,
        ch: 32,
        ch_mult: vec![1, 1],
        num_res_blocks: 1,
        resolution: SIDE,
        ..Default::default()
    };
    let dct = json!({"_class_name": "PatchDct", "patch": 4, "luma": 3, "chroma": 1, "sample_size": SIDE, "scaling_factor": 0.5});
    for (name, autoencoder, channels, cells) in [
        ("autoencoder-kl", bench.tokenizer("autoencoder-kl", &kl.to_value()), 4, 4),
        ("mar-kl", bench.tokenizer("mar-kl", &mar.to_value()), 3, 8),
        ("patch-dct", bench.document("patch-dct", &dct), 5, 4),
    ] {
        let layout = json!({"grid": [cells, cells]});
        bench.train_and_generate(&format!("{name}-xar"), &autoencoder, &xar(channels, layout.clone()));
        let said =
            refused(&mut bench.train(&format!("{name}-wrong"), &autoencoder, &decoder(16, layout, cells * cells)));
        assert!(said.contains("do not belong together") && said.contains("Latents"), "{name}: {said}");
    }

    // A released file holds buffers beside the parameters; a training that goes on from one needs none of them.
    let run = bench.at("patch-dct-xar");
    let learnt = Weights::open(&run.join("model.safetensors")).unwrap();
    let read = |entry: TensorEntry| NamedTensor {
        values: learnt.read_f32(&entry.name).unwrap(),
        name: entry.name,
        shape: entry.shape,
    };
    let mut tensors: Vec<NamedTensor> = learnt.entries().into_iter().map(read).collect();
    for name in ["mask", "encoder_blocks.0.attn.rope.freqs_cos", "surplus"] {
        tensors.push(NamedTensor { name: name.to_owned(), shape: vec![1], values: vec![1.0] });
        write_safetensors(&bench.at("released.safetensors"), &tensors, Precision::F32, Default::default()).unwrap();
        let mut again = bench.train(&format!("from-{name}"), &bench.at("patch-dct"), &xar(5, json!({"grid": [4, 4]})));
        again.arg("--from").arg(bench.at("released.safetensors"));
        match name {
            "surplus" => assert!(refused(&mut again).contains("surplus")),
            _ => assert!(!printed(&mut again).is_empty()),
        }
    }

    // What does not belong together says so.
    let run = bench.at("llamagen-vq-nar");
    let mut other = tessera();
    other.args(["generate", "-o"]).arg(bench.at("x.png")).arg("--model").arg(&run);
    let said = refused(other.arg("--tokenizer").arg(&tokenizers[0].1));
    assert!(said.contains("do not belong together") && said.contains("fingerprint"), "{said}");
    let noisy = |share: &str, architecture: &Value| {
        let mut command = bench.train(&format!("noise-{share}"), &tokenizers[2].1, architecture);
        command.args(["--token-noise", share]);
        command
    };
    let grid = json!({"grid": [4, 4]});
    assert!(!printed(&mut noisy("0.4", &nar(24, grid.clone(), 16))).is_empty());
    assert!(refused(&mut noisy("0.6", &nar(24, grid.clone(), 16))).contains("from 0 to 0.5"));
    assert!(refused(&mut noisy("0.3", &token_shuffle(24, grid, 16))).contains("token_noise"));
    let said = refused(&mut bench.train("wrong", &tokenizers[0].1, &decoder(7, json!({"ordered": 4}), 4)));
    assert!(said.contains("do not belong together"), "{said}");
    // What nobody asks for is drawn from what was learnt: each picture says what it is of.
    let drawn = |flags: &[&str]| {
        let mut command = tessera();
        command.args(["generate", "--json", "--count", "4", "-o"]).arg(bench.at("drawn.png")).arg("--model").arg(&run);
        let report = printed(command.arg("--tokenizer").arg(&tokenizers[2].1).args(flags));
        let report: Value = serde_json::from_str(&report).unwrap();
        serde_json::from_value::<Vec<String>>(report["captions"].clone()).unwrap()
    };
    let captions = drawn(&["--class", "small"]);
    assert!(
        captions.len() == 4
            && captions.iter().all(|caption| caption.starts_with("style=") && caption.contains(" size=small ")),
        "{captions:?}"
    );
    assert_ne!(captions[0].split_once(' ').unwrap().0, captions[1].split_once(' ').unwrap().0, "styles take turns");
    assert!(captions.iter().all(|caption| caption.contains("square")), "{captions:?}");
    for flags in [["--class", "small", "--exactly"].as_slice(), &["--prompt", "red square"]] {
        assert!(drawn(flags).is_empty(), "{flags:?}");
    }
    for (flags, expected) in [
        (["--prompt", ""], "expected words"),
        (["--prompt", "sqare"], "\"square\""),
        (["--style", "other"], "expected one of"),
        (["--top-k", "0"], "top-k"),
        (["--top-p", "0"], "top-p"),
        (["--top-p", "1.5"], "top-p"),
        (["--temperature=-1", "--quiet"], "temperature"),
        (["--tokens", "3"], "tokens"),
    ] {
        let mut command = tessera();
        command.args(["generate", "-o"]).arg(bench.at("x.png")).arg("--model").arg(&run);
        let said = refused(command.arg("--tokenizer").arg(&tokenizers[2].1).args(flags));
        assert!(said.contains(expected), "{flags:?}: {said}");
    }
}
