//! The matrix: every generator learns from every tokenizer's tokens and makes pictures of them, through the program.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{picture, printed, refused, tessera, tiny_model};
use serde_json::{Value, json};
use tessera::Codec;
use tessera::generators::Content;
use tessera::layers::checkpoint::{NamedTensor, Precision, TensorEntry, Weights, write_safetensors};
use tessera::tokenizers::autoencoder_kl::AutoencoderKlConfig;
use tessera::tokenizers::mar_kl::MarKlConfig;
use tessera::tokenizers::{ModelConfig, TokenLayout};

const SIDE: usize = 16;

/// Pictures with captions, and tokenizers to encode them.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pictures = folder.path().join("pictures");
        fs::create_dir(&pictures).unwrap();
        let mut table = "file,name,style,size\n".to_owned();
        for at in 0..6 {
            let name = format!("{at}.png");
            picture(&pictures, &name, 20 + 3 * at, 24 + at);
            table += &format!(
                "{name},{} square,{},small\n",
                ["red", "blue"][at as usize % 2],
                ["flat", "noto"][at as usize % 2]
            );
        }
        fs::write(folder.path().join("labels.csv"), table).unwrap();
        Self(folder)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A tokenizer of this configuration with random weights.
    fn tokenizer(&self, name: &str, document: &Value) -> PathBuf {
        let folder = self.document(name, document);
        ModelConfig::from_value(document).unwrap().write_random(1, &folder.join("model.safetensors")).unwrap();
        folder
    }

    /// Trains a generator for two steps and gives its folder.
    fn train(&self, name: &str, tokenizer: &Path, architecture: &Value) -> std::process::Command {
        let config = self.at(&format!("{name}.json"));
        fs::write(&config, architecture.to_string()).unwrap();
        let mut command = tessera();
        let source = format!(
            "{{path = {:?}, labels = {:?}, caption_column = \"name\", tags = [\"style\", \"size\"]}}",
            self.at("pictures"),
            self.at("labels.csv")
        );
        command.args(["train", "--steps", "2", "--batch-size", "2", "--checkpoint-every", "1", "--views", "1"]);
        command.args(["--validate-every", "2", "--validation-pictures", "3", "--sample-pictures", "2"]);
        command.args(["--sample", "style=flat red", "--data", &source, "--validation", &source]);
        command.arg("--architecture").arg(&config).arg("--out").arg(self.at(name));
        command.arg("--tokenizer").arg(tokenizer);
        command
    }

    /// A configuration without weights.
    fn document(&self, name: &str, document: &Value) -> PathBuf {
        let folder = self.at(name);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("config.json"), document.to_string()).unwrap();
        folder
    }

    /// Trains a generator for two steps, and lets it make three pictures.
    fn train_and_generate(&self, run: &str, tokenizer: &Path, architecture: &Value) {
        let report = printed(self.train(run, tokenizer, architecture).arg("--json"));
        let report: Value = serde_json::from_str(&report).unwrap();
        assert!(report["validation"]["loss"].as_f64().is_some_and(f64::is_finite), "{run}: {report}");
        let (grid, parts) = (self.at(&format!("{run}.png")), self.at(&format!("{run}-parts")));
        let mut generate = tessera();
        generate.args(["generate", "--count", "3", "--style", "noto", "--prompt", "blue square", "--quiet", "--model"]);
        generate.arg(self.at(run)).arg("--tokenizer").arg(tokenizer).arg("-o").arg(&grid).arg("--parts").arg(&parts);
        printed(&mut generate);
        let codes = ["tokens.tsr", "latents.safetensors"].map(|name| parts.join(name).is_file());
        assert!(grid.is_file() && codes[0] != codes[1] && codes[1] == run.ends_with("xar"), "{run}: {codes:?}");
    }
}

fn decoder(codes: usize, layout: Value, positions: usize) -> Value {
    json!({
        "dim": 16, "n_layer": 1, "n_head": 2, "multiple_of": 8, "model_type": "t2i", "caption_dim": 8, "cls_token_num": 4,
        "vocab_size": codes, "block_size": positions, "layout": layout,
    })
}

fn nar(codes: usize, layout: Value, positions: usize) -> Value {
    let mut config = decoder(codes, layout, positions);
    config["medusa_attention_num"] = json!(1);
    config
}

fn token_shuffle(codes: usize, layout: Value, _positions: usize) -> Value {
    let mut config = json!({
        "text_vocab": 3, "image_vocab": codes, "dim": 16, "n_layers": 1, "n_heads": 2, "n_kv_heads": 1, "ffn_hidden": 24,
        "window": 2, "n_mlp_blocks": 1, "mlp_ratio": 2, "bos_id": 0, "boi_id": 1, "eoi_id": 2, "first_text_id": 3,
        "text_loss_weight": 0.1, "z_loss_weight": 1e-4, "cfg_scale": 2.0, "caption_len": 4,
    });
    let (kind, sides) = layout.as_object().and_then(|layout| layout.iter().next()).unwrap();
    config[kind] = sides.clone();
    config
}

fn xar(channels: usize, layout: Value) -> Value {
    let mut config = json!({
        "model_type": "xar", "vae_embed_dim": channels, "encoder_embed_dim": 16, "encoder_depth": 1, "encoder_num_heads": 2,
        "decoder_embed_dim": 16, "decoder_depth": 1, "decoder_num_heads": 2, "num_steps": 2, "class_num": 8, "entity": "patch",
        "most_words": 4, "cfg": 1.5,
    });
    let (kind, sides) = layout.as_object().and_then(|layout| layout.iter().next()).unwrap();
    match kind.as_str() {
        "scales" => (config["token_scales"], config["entity"]) = (sides.clone(), json!("scale")),
        _ => config[kind] = sides.clone(),
    }
    config
}

/// Rows and columns, the tokens of scales, or the length of a line, as architectures write it.
fn layout_of(layout: &TokenLayout) -> Value {
    match layout {
        TokenLayout::Grid { height, width } => json!({"grid": [height, width]}),
        TokenLayout::Scales { counts } => json!({"scales": counts}),
        _ => json!({"ordered": layout.positions()}),
    }
}

/// A next-scale generator of captions; its tokenizer says the rest.
fn next_scale() -> Value {
    json!({"ar": {"dim": 16, "depth": 1, "heads": 2, "most_words": 4, "cfg": 1.0}})
}

#[test]
fn every_generator_learns_from_every_tokenizer() {
    let bench = Bench::new();
    let vq = json!({
        "codebook_size": 24, "codebook_embed_dim": 4, "encoder_ch_mult": [1, 1, 1], "decoder_ch_mult": [1, 1, 1], "z_channels": 8,
        "ch": 32, "num_res_blocks": 1, "image_size": SIDE,
    });
    let tokenizers = [
        ("one-d-piece", tiny_model()),
        ("flextok", flextok(&bench)),
        ("llamagen-vq", bench.tokenizer("llamagen-vq", &vq)),
        ("seed-pixels", bench.tokenizer("seed-pixels", &seed_pixels())),
    ];
    for (name, tokenizer) in &tokenizers {
        let opened = tessera::from_pretrained(&tokenizer.to_string_lossy(), &burn::tensor::Device::flex()).unwrap();
        let info = opened.info();
        let codes = info.vocab[0] as usize;
        let codec = Codec::Tokens(opened).with_latents().unwrap();
        let Content::Latents { channels } = codec.content() else { panic!("{name} has no code vectors") };
        let (layout, positions) = (layout_of(&codec.layout()), codec.layout().positions());
        for (kind, architecture) in [
            ("next-token", decoder(codes, layout.clone(), positions)),
            ("nar", nar(codes, layout.clone(), positions)),
            ("token-shuffle", token_shuffle(codes, layout.clone(), positions)),
            ("xar", xar(channels, layout.clone())),
        ] {
            let run = format!("{name}-{kind}");
            bench.train_and_generate(&run, tokenizer, &architecture);
        }
    }

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

/// A tiny SEED with a pixel decoder.
fn seed_pixels() -> Value {
    json!({
        "model_type": "seed_pixels",
        "seed": {
            "model_type": "seed2_tokenizer",
            "vit": {"img_size": SIDE, "patch_size": 4, "embed_dim": 16, "depth": 1, "num_heads": 2, "mlp_ratio": 2},
            "qformer": {
                "hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24, "encoder_width": 16,
            },
            "num_query_token": 6, "codebook_embed_dim": 4, "n_embed": 24, "decode_depth": 1, "decode_num_heads": 2,
            "image_down_dims": [8], "image_features_dim": 8,
        },
        "pixels": {"side": 8, "patch": 4, "width": 16, "depth": 1, "heads": 2, "steps": 2},
    })
}

/// A tiny FlexTok on a fixed transform.
fn flextok(bench: &Bench) -> PathBuf {
    let mut config = tessera::tokenizers::flextok::FlexTokConfig::preset("flextok-d12-d12").unwrap();
    for trunk in [&mut config.encoder, &mut config.decoder] {
        (trunk.dim, trunk.depth, trunk.max_sizes) = (64, 1, [1, 1]);
    }
    let dct = tessera::tokenizers::patch_dct::PatchDctConfig::new(8, 12, 2);
    config.vae.architecture = tessera::tokenizers::flextok::LatentConfig::PatchDct(dct);
    (config.registers, config.levels) = (6, vec![4, 3, 2]);
    config.sampling.steps = 2;
    bench.tokenizer("flextok", &ModelConfig::FlexTok(config).to_value())
}

/// A tiny TokenFlow of scales of these sides.
fn tokenflow(scales: [usize; 2]) -> Value {
    json!({
        "model": "TokenFlow", "teacher": "clipb_224", "image_size": 16, "scales": scales, "codebook_size": 24,
        "codebook_embed_dim": 4, "semantic_code_dim": 6, "z_channels": 8, "entropy_loss_ratio": 0.01,
        "encoder_ch": 32, "encoder_ch_mult": [1, 1, 1], "encoder_num_res_blocks": 1,
        "decoder_ch": 32, "decoder_ch_mult": [1, 1, 1], "decoder_num_res_blocks": 1, "decoder_out_dim": 24,
        "semantic_encoder": {"kind": "clip_vit", "image_size": 12, "patch_size": 4, "width": 24, "layers": 1, "heads": 3},
        "semantic_decoder": {"width": 24, "layers": 1, "heads": 3, "grid": 3},
    })
}

/// A tiny VAT of these scales.
fn vat(scales: &[usize]) -> Value {
    json!({
        "model_type": "vat", "num_latents": scales.last(), "latent_dim": 4,
        "input": {"num_points": 30, "num_freqs": 2},
        "encoder": {"dim": 16, "depth": 1, "heads": 2},
        "quantizer": {"scales": scales, "codebook_size": 24},
        "decoder": {"dim": 16, "depth": 1, "heads": 2, "plane_tokens": 2},
        "triplane": {"channels": [8, 8], "out_channels": 4, "norm_groups": 4},
        "occupancy": {"hidden": 8, "layers": 2},
    })
}

impl Bench {
    /// As [`Bench::train_and_generate`], of shapes.
    fn shapes(&self, run: &str, tokenizer: &Path, architecture: &Value) {
        let config = self.at(&format!("{run}.json"));
        fs::write(&config, architecture.to_string()).unwrap();
        let mut command = tessera();
        command.args(["train", "--steps", "2", "--batch-size", "2", "--checkpoint-every", "100", "--shapes", "9"]);
        command.args(["--validation-pictures", "3", "--sample-pictures", "2", "--sample", "class=twist", "--json"]);
        command.args(["--lattice", "17", "--sample-lattice", "9", "--architecture"]).arg(&config);
        let report = printed(command.arg("--out").arg(self.at(run)).arg("--tokenizer").arg(tokenizer));
        let report: Value = serde_json::from_str(&report).unwrap();
        assert!(report["validation"]["loss"].as_f64().is_some_and(f64::is_finite), "{run}: {report}");
        let (grid, parts) = (self.at(&format!("{run}.png")), self.at(&format!("{run}-parts")));
        let mut generate = tessera();
        // Models of captions know families as tags, xAR as numbers.
        let class = if run.ends_with("xar") { "5" } else { "chain" };
        generate.args(["generate", "--count", "2", "--class", class, "--resolution", "9", "--quiet", "--model"]);
        generate.arg(self.at(run)).arg("--tokenizer").arg(tokenizer).arg("-o").arg(&grid).arg("--parts").arg(&parts);
        printed(&mut generate);
        let codes = ["tokens.tsr", "latents.safetensors"].map(|name| parts.join(name).is_file());
        assert!(grid.is_file() && codes[0] != codes[1] && codes[1] == run.ends_with("xar"), "{run}: {codes:?}");
    }
}

/// Scales of pictures (TokenFlow) and of shapes (VAT). Windows of Token-Shuffle tile scales of even numbers of tokens alone.
#[test]
fn every_generator_learns_from_scales() {
    let bench = Bench::new();
    let pictures = bench.tokenizer("tokenflow", &tokenflow([2, 4]));
    let shapes = bench.tokenizer("vat", &vat(&[2, 4, 8]));
    for (name, tokenizer, counts, channels) in
        [("tokenflow", &pictures, vec![4, 16], 10), ("vat", &shapes, vec![2, 4, 8], 4)]
    {
        let (layout, positions) = (json!({"scales": counts}), counts.iter().sum());
        let opened = tessera::from_pretrained(&tokenizer.to_string_lossy(), &burn::tensor::Device::flex()).unwrap();
        assert_eq!(layout_of(&opened.info().layout), layout);
        for (kind, architecture) in [
            ("next-token", decoder(24, layout.clone(), positions)),
            ("nar", nar(24, layout.clone(), positions)),
            ("token-shuffle", token_shuffle(24, layout.clone(), positions)),
            ("next-scale", next_scale()),
            ("xar", xar(channels, layout.clone())),
        ] {
            let run = format!("{name}-{kind}");
            match name {
                "vat" => bench.shapes(&run, tokenizer, &architecture),
                _ => bench.train_and_generate(&run, tokenizer, &architecture),
            }
        }
    }
    // A prefix of next-token's line is a file that is cut; NAR's diagonals have none, and next-scale's ends with a scale.
    for (kind, tokens, refusal) in [
        ("next-token", "5", None),
        ("next-scale", "6", None),
        ("nar", "6", Some("by diagonals")),
        ("next-scale", "5", Some("whole scales")),
    ] {
        let mut command = tessera();
        command
            .args(["generate", "--resolution", "9", "--tokens", tokens, "--model"])
            .arg(bench.at(&format!("vat-{kind}")));
        command.arg("--tokenizer").arg(&shapes).arg("-o").arg(bench.at("cut.png"));
        match refusal {
            None => assert!(!printed(&mut command).is_empty()),
            Some(words) => {
                let said = refused(&mut command);
                assert!(said.contains(words), "{kind}: {said}");
            }
        }
    }
}

/// TokenFlow's own generator learns from captions too; its prompt stands for a first scale of one token.
#[test]
fn tokenflow_t2i_learns_from_captions() {
    let bench = Bench::new();
    let pictures = bench.tokenizer("tokenflow", &tokenflow([1, 4]));
    let architecture = json!({
        "llm": {
            "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 1,
        },
        "most_words": 4, "sampling": {"cfg": 1.0},
    });
    bench.train_and_generate("tokenflow-t2i", &pictures, &architecture);
    let config: Value = serde_json::from_slice(&fs::read(bench.at("tokenflow-t2i/config.json")).unwrap()).unwrap();
    // 6 words and tags, where a picture begins, padding, and the codes.
    assert_eq!(
        config["words"]["words"].as_array().unwrap().len() + 2 + 24,
        config["llm"]["vocab_size"].as_u64().unwrap() as usize
    );
    // The same bits after an interruption.
    let cut = |resume: bool| {
        let mut command = bench.train("cut", &pictures, &architecture);
        if resume {
            command.arg("--resume");
        }
        printed(&mut command);
        fs::read(bench.at("cut/model.safetensors")).unwrap()
    };
    let whole = cut(false);
    fs::remove_dir_all(bench.at("cut/checkpoints/00000002")).unwrap();
    assert_eq!(whole, cut(true));

    let two = bench.tokenizer("two", &tokenflow([2, 4]));
    let said = refused(&mut bench.train("first", &two, &architecture));
    assert!(said.contains("a first scale of one token"), "{said}");
    let said = refused(&mut bench.train("other", &tiny_model(), &architecture));
    assert!(said.contains("a TokenFlow"), "{said}");
}

/// What makes no sense over scales, or with several codes at a position, says why.
#[test]
fn pairs_that_make_no_sense_are_refused() {
    let bench = Bench::new();
    let pictures = bench.tokenizer("tokenflow", &tokenflow([1, 4]));
    let layout = json!({"scales": [1, 16]});
    let mut cells = xar(10, layout.clone());
    cells["entity"] = json!("cell");
    for (name, architecture, says) in [
        ("windows", token_shuffle(24, layout.clone(), 17), "no window crosses scales"),
        ("shrinking", nar(24, json!({"scales": [16, 1]}), 17), "none shorter than the one before"),
        ("cells", cells, "tokens of several scales form no cells"),
        ("flat", decoder(24, json!({"ordered": 17}), 17), "do not belong together: layout"),
        ("other", decoder(24, json!({"scales": [16, 1]}), 17), "do not belong together: layout"),
    ] {
        let said = refused(&mut bench.train(name, &pictures, &architecture));
        assert!(said.contains(says), "{name}: {said}");
    }
    // 3 pixel codes and 2 semantic ones at each position.
    let quantizer = |kind: &str, depth: usize, channels: usize, codes: usize| {
        json!({
            "bottleneck_type": kind, "code_shape": [4, 4, depth], "latent_shape": [4, 4, channels], "embed_dim": channels,
            "n_embed": codes, "decay": 0.9, "restart_unused_codes": true, "shared_codebook": true,
        })
    };
    let dualtoken = json!({
        "hidden_size": 32,
        "rqvaesiglip": {
            "hidden_size": 32, "layer_recon": 1, "layer_sem": 2, "layer_shortcut": 1, "weight_shortcut": 0.6,
            "ddconfig": {
                "ch": 32, "ch_mult": [1, 1, 1], "num_res_blocks": 1, "attn_resolutions": [4], "resolution": 16,
                "decoder_in_channels": 32,
            },
            "vq_sem": quantizer("rq_ema", 2, 8, 20), "vq_pix": quantizer("rq", 3, 16, 30),
        },
        "siglip_config": {
            "vision_config": {
                "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 3, "num_attention_heads": 2,
                "image_size": 16, "patch_size": 4,
            },
            "text_config": {
                "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 1, "num_attention_heads": 2,
                "vocab_size": 11, "max_position_embeddings": 5,
            },
        },
    });
    let dualtoken = bench.tokenizer("dualtoken", &dualtoken);
    let layout = json!({"grid": [4, 4]});
    for (name, architecture, says) in [
        ("deep-next-token", decoder(30, layout.clone(), 16), "5 codes at each position"),
        ("deep-nar", nar(30, layout.clone(), 16), "5 codes at each position"),
        ("deep-token-shuffle", token_shuffle(30, layout.clone(), 16), "5 codes at each position"),
        ("deep-next-scale", next_scale(), "5 codes at each position"),
        ("deep-xar", xar(16, layout.clone()), "one code at a position, this tokenizer has 5"),
    ] {
        let said = refused(&mut bench.train(name, &dualtoken, &architecture));
        assert!(said.contains(says), "{name}: {said}");
    }
}
