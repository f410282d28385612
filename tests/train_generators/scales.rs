//! Tokens of several scales, and what does not belong together.

use std::fs;

use serde_json::{Value, json};

use super::bench::Bench;
use super::common::{printed, refused, tessera, tiny, tiny_model};
use super::generators::{decoder, layout_of, nar, next_scale, token_shuffle, xar};

/// Scales of pictures (TokenFlow) and of shapes (VAT). Windows of Token-Shuffle tile scales of even numbers of tokens alone.
#[test]
fn every_generator_learns_from_scales() {
    let bench = Bench::new();
    let pictures = bench.tokenizer("tokenflow", &tiny::tokenflow(&[2, 4], 24));
    let shapes = bench.tokenizer("vat", &tiny::vat(&[2, 4, 8], 4, 24));
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
    let pictures = bench.tokenizer("tokenflow", &tiny::tokenflow(&[1, 4], 24));
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

    let two = bench.tokenizer("two", &tiny::tokenflow(&[2, 4], 24));
    let said = refused(&mut bench.train("first", &two, &architecture));
    assert!(said.contains("a first scale of one token"), "{said}");
    let said = refused(&mut bench.train("other", &tiny_model(), &architecture));
    assert!(said.contains("a TokenFlow"), "{said}");
}

/// What makes no sense over scales, or with several codes at a position, says why.
#[test]
fn pairs_that_make_no_sense_are_refused() {
    let bench = Bench::new();
    let pictures = bench.tokenizer("tokenflow", &tiny::tokenflow(&[1, 4], 24));
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
    // 3 pixel codes and 2 semantic ones at each position, which become 5 positions of one code, or the sums of their vectors.
    let dualtoken = bench.tokenizer("dualtoken", &tiny::dualtoken());
    let layout = json!({"grid": [4, 4]});
    for (name, architecture, says) in [
        ("deep-next-token", decoder(130, layout.clone(), 16), "grid, 4 x 20 for the tokenizer"),
        ("deep-nar", nar(30, json!({"grid": [4, 20]}), 80), "vocab: [130]"),
        ("deep-token-shuffle", token_shuffle(30, layout.clone(), 16), "vocab: [130]"),
        ("deep-next-scale", next_scale(), "expected a VAT or a TokenFlow"),
        ("deep-xar", xar(16, layout.clone()), "channels: 24"),
    ] {
        let said = refused(&mut bench.train(name, &dualtoken, &architecture));
        assert!(said.contains(says), "{name}: {said}");
    }
}
