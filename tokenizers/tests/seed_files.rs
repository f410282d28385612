//! SEED's checkpoints: files that belong together, surplus that is known and surplus that is not, and files made to harm.

#[path = "common/torch_file.rs"]
mod torch_file;

use std::fs;
use std::path::Path;

use burn::tensor::{Device, Tensor};
use tessera_layers::checkpoint::{CheckpointError, Weights, locate};
use tessera_layers::{ParamSource, ParamSpec};
use tessera_tokenizers::seed::{
    self, EncoderConfig, QformerConfig, ReverseConfig, SeedConfig, SeedKind, SeedNetwork, VitConfig,
};
use tessera_tokenizers::{Input, LoadError, ModelConfig, Tokenizer, from_pretrained};
use torch_file::{Entry, Numbers, torch_file};

fn small(model_type: SeedKind) -> SeedConfig {
    let vit = VitConfig {
        img_size: 8,
        patch_size: 4,
        embed_dim: 8,
        depth: 1,
        num_heads: 2,
        mlp_ratio: 1.5,
        ..Default::default()
    };
    let qformer = QformerConfig {
        vocab_size: 5,
        hidden_size: 12,
        num_hidden_layers: 2,
        num_attention_heads: 3,
        intermediate_size: 10,
        max_position_embeddings: 4,
        encoder_width: 8,
        ..Default::default()
    };
    SeedConfig {
        encoder: EncoderConfig { vit, qformer, num_query_token: 4, ..Default::default() },
        codebook_embed_dim: 3,
        n_embed: 20,
        decode_depth: 1,
        decode_num_heads: 2,
        image_down_dims: vec![6, 2],
        image_features_dim: 7,
        text_features_dim: 5,
        reverse_qformer: (model_type != SeedKind::Seed2).then_some(ReverseConfig {
            num_hidden_layers: 1,
            num_query_token: 3,
            encoder_width: 12,
            cross_attention_freq: 2,
        }),
        ..SeedConfig::released(model_type)
    }
}

/// Starting values of every tensor, by released name.
fn values(config: &SeedConfig) -> Vec<Entry> {
    let specs = seed::listing(config).unwrap();
    let of = |spec: &ParamSpec| {
        let drawn = spec.init.values(spec.shape.iter().product(), 1, &spec.name);
        (spec.name.clone(), spec.shape.clone(), Numbers::F32(drawn))
    };
    specs.iter().map(of).collect()
}

/// The ViT as LAVIS has it: without a prefix, in half precision.
fn vit_of(entries: &[Entry]) -> Vec<Entry> {
    let half = |entry: &Entry| {
        let (name, shape, Numbers::F32(values)) = entry else { unreachable!() };
        let name = name.strip_prefix("visual_encoder.")?.to_owned();
        // The upper bits of a small float: sign, exponent rebased, and ten bits of its fraction.
        let bits = |value: &f32| {
            let bits = value.to_bits();
            let (sign, exponent, fraction) = (bits >> 31, (bits >> 23) & 0xff, bits & 0x7f_ffff);
            let half = if exponent < 113 { 0 } else { (exponent - 112) << 10 | fraction >> 13 };
            u16::try_from(sign << 15 | half).unwrap()
        };
        Some((name, shape.clone(), Numbers::F16(values.iter().map(bits).collect())))
    };
    entries.iter().filter_map(half).collect()
}

fn without_vit(entries: &[Entry]) -> Vec<Entry> {
    entries.iter().filter(|(name, ..)| !name.starts_with("visual_encoder.")).cloned().collect()
}

fn zeros(name: &str, shape: &[usize]) -> Entry {
    (name.to_owned(), shape.to_vec(), Numbers::F32(vec![0.0; shape.iter().product()]))
}

fn write(folder: &Path, name: &str, entries: &[Entry], wrapper: Option<&str>) {
    fs::write(folder.join(name), torch_file(entries, wrapper)).unwrap();
}

fn write_config(folder: &Path, config: &SeedConfig) {
    fs::write(folder.join("config.json"), ModelConfig::Seed(config.clone()).to_value().to_string()).unwrap();
}

fn open(folder: &Path) -> Result<Box<dyn Tokenizer>, LoadError> {
    from_pretrained(folder.to_str().unwrap(), &Device::flex())
}

fn tokens(tokenizer: &dyn Tokenizer) -> Vec<u32> {
    let ramp = Tensor::<1, burn::tensor::Int>::arange(0..192, &Device::flex()).float().div_scalar(192.0);
    tokenizer.encode(&Input::Images(ramp.reshape([1, 3, 8, 8]))).unwrap().ids().to_vec()
}

#[test]
fn the_two_files_of_seed_2_open_as_one() {
    let (folder, config) = (tempfile::tempdir().unwrap(), small(SeedKind::Seed2));
    let all = values(&config);
    let mut vit = vit_of(&all);
    // The block that the model leaves out, and the head.
    let extra: Vec<Entry> = vit
        .iter()
        .filter_map(|(name, shape, numbers)| {
            Some((format!("blocks.1.{}", name.strip_prefix("blocks.0.")?), shape.clone(), numbers.clone()))
        })
        .collect();
    vit.extend(extra);
    vit.extend([zeros("norm.weight", &[8]), zeros("norm.bias", &[8]), zeros("head.weight", &[3, 8])]);
    let mut rest = without_vit(&all);
    rest.push(("Qformer.bert.embeddings.position_ids".to_owned(), vec![1, 4], Numbers::I64(vec![0, 1, 2, 3])));
    for (name, shape) in [
        ("Qformer.bert.embeddings.word_embeddings.weight", &[5, 12][..]),
        ("Qformer.bert.embeddings.position_embeddings.weight", &[4, 12]),
        ("Qformer.bert.encoder.layer.1.intermediate.dense.weight", &[10, 12]),
        ("Qformer.bert.encoder.layer.1.output.LayerNorm.bias", &[12]),
        ("Qformer.cls.predictions.transform.dense.weight", &[12, 12]),
        ("vision_proj.bias", &[4]),
        ("itm_head.weight", &[2, 12]),
        ("temp", &[]),
        ("blocks_text.3.mlp.fc1.weight", &[24, 12]),
        ("pos_embed_text", &[1, 4, 12]),
        ("reverse_tokens_text", &[1, 77, 12]),
        ("Reverse_Qformer_text.bert.encoder.layer.2.crossattention.self.key.bias", &[12]),
        ("distill_text_proj.weight", &[5, 12]),
    ] {
        rest.push(zeros(name, shape));
    }
    write(folder.path(), "seed_quantizer.pt", &rest, None);
    write(folder.path(), "eva_vit_g.pth", &vit, None);
    write_config(folder.path(), &config);
    let together = open(folder.path()).unwrap();
    assert_eq!(together.info().architecture, "seed-2");
    let files = locate(folder.path().to_str().unwrap()).unwrap().weight_files().unwrap();
    assert_eq!(files.len(), 2);

    // One file of everything, in f32 of the halves, is the same model.
    let whole = tempfile::tempdir().unwrap();
    let weights = Weights::open(&folder.path().join("seed_quantizer.pt")).unwrap();
    let widened =
        all.iter().map(|(name, shape, _)| (name.clone(), shape.clone(), Numbers::F32(weights.read_f32(name).unwrap())));
    write(whole.path(), "all.pt", &widened.collect::<Vec<_>>(), None);
    write_config(whole.path(), &config);
    let alone = open(whole.path()).unwrap();
    assert_eq!(alone.info().fingerprint, together.info().fingerprint);
    assert_eq!(tokens(&*alone), tokens(&*together));
}

#[test]
fn the_three_files_of_seed_1_open_as_one_and_the_tokenizer_overrides_the_q_former() {
    let (folder, config) = (tempfile::tempdir().unwrap(), small(SeedKind::Seed1));
    let all = values(&config);
    let is_first_stage =
        |name: &str| name.starts_with("Qformer.") || name.starts_with("ln_vision") || name == "query_tokens";
    let (mut first, second): (Vec<Entry>, Vec<Entry>) =
        without_vit(&all).into_iter().partition(|(name, ..)| is_first_stage(name));
    // An older copy of a tensor of the second stage gives way.
    first.push(zeros("encode_task_layer.0.bias", &[12]));
    first.push(zeros("temp", &[]));
    let mut changed = second.clone();
    let bias = changed.iter_mut().find(|(name, ..)| name == "encode_task_layer.0.bias").unwrap();
    bias.2 = Numbers::F32(vec![0.5; 12]);
    write(folder.path(), "causal_qformer.pth", &first, Some("model"));
    write(folder.path(), "seed_tokenizer.pth", &changed, Some("model"));
    write(folder.path(), "eva_vit_g.pth", &vit_of(&all), None);
    write_config(folder.path(), &config);
    let tokenizer = open(folder.path()).unwrap();
    assert_eq!(tokenizer.info().architecture, "seed-1");
    let weights = Weights::open(&folder.path().join("seed_tokenizer.pth")).unwrap();
    assert_eq!(weights.read_f32("encode_task_layer.0.bias").unwrap(), [0.5; 12]);
    assert_eq!(weights.wrapper(), Some("model"));

    fs::remove_file(folder.path().join("causal_qformer.pth")).unwrap();
    let error = open(folder.path()).err().unwrap();
    assert!(
        matches!(&error, LoadError::Checkpoint(CheckpointError::Mismatch { differences, .. }) if differences.missing > 0),
        "{error}"
    );
}

#[test]
fn a_missing_vit_is_said_and_what_is_not_known_is_an_error() {
    let (folder, config) = (tempfile::tempdir().unwrap(), small(SeedKind::Seed2));
    let all = values(&config);
    write_config(folder.path(), &config);
    write(folder.path(), "seed_quantizer.pt", &without_vit(&all), None);
    let error = open(folder.path()).err().unwrap().to_string();
    assert!(error.contains("eva_vit_g.pth"), "{error}");

    let surplus = |extra: Entry| {
        let mut entries = all.clone();
        entries.push(extra);
        write(folder.path(), "seed_quantizer.pt", &entries, None);
        open(folder.path()).err().map(|error| error.to_string())
    };
    for (name, shape) in [
        ("anything", &[3][..]),
        ("Qformer.bert.pooler.dense.weight", &[12, 12]),
        ("Qformer.bert.encoder.layer.2.intermediate.dense.bias", &[10]), // a layer that the model has not
        ("Qformer.bert.encoder.layer.2.attention.self.query.bias", &[12]),
        ("visual_encoder.blocks.2.norm1.bias", &[8]), // two blocks more, not one
        ("visual_encoder.rope.freqs", &[8]),
        ("blocks_image.1.norm1.bias", &[12]), // a deeper decoder of the model's own
        ("blocks_text.0.norm3.bias", &[12]),
        ("image_down.4.weight", &[2, 2]),
    ] {
        let error = surplus(zeros(name, shape)).unwrap_or_else(|| panic!("{name} passed"));
        assert!(error.contains("does not know") && error.contains(name), "{error}");
    }
    assert_eq!(surplus(zeros("blocks_text.0.norm2.bias", &[12])), None);
}

#[test]
fn positions_of_another_grid_are_resized() {
    let config = small(SeedKind::Seed2);
    let mut entries = values(&config);
    let positions = entries.iter_mut().find(|(name, ..)| name == "visual_encoder.pos_embed").unwrap();
    // A grid of 4 x 4, constant but for the class row: any resizing gives the constant.
    *positions = (positions.0.clone(), vec![1, 17, 8], Numbers::F32([vec![3.0; 8], vec![0.25; 128]].concat()));
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "all.pt", &entries, None);
    let weights = Weights::open(&folder.path().join("all.pt")).unwrap();
    let model = seed::load(&config, &weights, &Device::flex()).unwrap();

    let saved = folder.path().join("saved.safetensors");
    seed::save(model.network(), model.specs(), &saved).unwrap();
    let saved = Weights::open(&saved).unwrap();
    let values = saved.read_f32("visual_encoder.pos_embed").unwrap();
    assert_eq!((values.len(), &values[..8]), (40, [3.0; 8].as_slice()));
    assert!(values[8..].iter().all(|value| (value - 0.25).abs() < 1e-6));
    let again = seed::load(&config, &saved, &Device::flex()).unwrap();
    assert_eq!(tokens(&again), tokens(&model));

    let not_square = |rows: usize| {
        let mut entries = entries.clone();
        let positions = entries.iter_mut().find(|(name, ..)| name == "visual_encoder.pos_embed").unwrap();
        *positions = zeros("visual_encoder.pos_embed", &[1, rows, 8]);
        write(folder.path(), "odd.pt", &entries, None);
        seed::load(&config, &Weights::open(&folder.path().join("odd.pt")).unwrap(), &Device::flex()).err()
    };
    for rows in [0, 1, 4, 18] {
        let error = not_square(rows).unwrap();
        assert!(matches!(&error, LoadError::Checkpoint(CheckpointError::Mismatch { .. })), "{rows}: {error}");
    }
}

#[test]
fn either_file_cut_short_anywhere_is_refused() {
    let (folder, config) = (tempfile::tempdir().unwrap(), small(SeedKind::Seed2));
    let all = values(&config);
    let vit = torch_file(&vit_of(&all), None);
    let main = torch_file(&without_vit(&all), None);
    for (name, whole, other_name, other) in
        [("eva_vit_g.pth", &vit, "seed_quantizer.pt", &main), ("seed_quantizer.pt", &main, "eva_vit_g.pth", &vit)]
    {
        fs::write(folder.path().join(other_name), other).unwrap();
        let path = folder.path().join(name);
        // Every byte of the pickles, every seventh of the numbers behind them.
        let pickles = whole.len() - whole.len() / 2;
        for length in (0..whole.len()).filter(|length| *length < 600 || *length > pickles && length % 7 == 0) {
            let _ = fs::remove_file(&path);
            fs::write(&path, &whole[..length]).unwrap();
            let main = folder.path().join("seed_quantizer.pt");
            let loaded = Weights::open(&main)
                .map_err(LoadError::from)
                .and_then(|weights| seed::load(&config, &weights, &Device::flex()).map(drop));
            assert!(loaded.is_err(), "{name} cut to {length} of {} bytes", whole.len());
        }
        fs::write(&path, whole).unwrap();
    }
    let weights = Weights::open(&folder.path().join("seed_quantizer.pt")).unwrap();
    assert!(seed::load(&config, &weights, &Device::flex()).is_ok());
}

#[test]
fn the_training_variant_has_a_reverse_q_former() {
    let config = small(SeedKind::Seed2Training);
    assert_eq!(config.features(), [3, 7]);
    let source = ParamSource::listing();
    SeedNetwork::new(&source.root(), &config, 5).unwrap();
    let names: Vec<String> = source.into_taken().into_iter().map(|spec| spec.name).collect();
    assert!(
        names.iter().any(|name| name == "reverse_tokens") && !names.iter().any(|name| name.starts_with("image_down"))
    );
}
