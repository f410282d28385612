//! SEED behind the common handle, its vocabulary for language models, and what its losses train.

#[path = "common/moved.rs"]
mod moved;

use burn::tensor::{Device, Tensor, TensorData};
use moved::moved;
use tessera_layers::checkpoint::{NamedTensor, Precision, Weights, write_safetensors};
use tessera_layers::{Init, ParamSource, Trace};
use tessera_tokenizers::seed::train::{
    Captions, Sides, class_contrastive_loss, clean_caption, codec_losses, contrastive_loss, contrastive_losses,
    cosine_loss, two_view_loss,
};
use tessera_tokenizers::seed::{
    ContrastiveConfig, EncoderConfig, LossWeights, QformerConfig, SeedConfig, SeedContrastive, SeedKind, SeedNetwork,
    UnclipCondition, VisualVocabulary, VitConfig, VocabularyError,
};
use tessera_tokenizers::{
    ConfigError, DecodeOptions, Fingerprint, Input, ModelConfig, TokenLayout, TokenizerError, Tokens,
};

fn encoder() -> EncoderConfig {
    let vit = VitConfig {
        img_size: 8,
        patch_size: 4,
        embed_dim: 8,
        depth: 2,
        num_heads: 2,
        mlp_ratio: 2.0,
        ..Default::default()
    };
    let qformer = QformerConfig {
        vocab_size: 30,
        hidden_size: 12,
        num_hidden_layers: 2,
        num_attention_heads: 3,
        intermediate_size: 10,
        max_position_embeddings: 8,
        encoder_width: 8,
        ..Default::default()
    };
    EncoderConfig { vit, qformer, num_query_token: 5, ..Default::default() }
}

fn small(model_type: SeedKind) -> SeedConfig {
    SeedConfig {
        encoder: encoder(),
        codebook_embed_dim: 3,
        n_embed: 40,
        decode_depth: 1,
        decode_num_heads: 2,
        image_down_dims: vec![6, 2],
        image_features_dim: 7,
        text_features_dim: 9,
        ..SeedConfig::released(model_type)
    }
}

fn images(count: usize) -> Tensor<4> {
    let values = (0..count * 192).map(|i| (i as f32 * 0.37).sin() * 0.5 + 0.5).collect();
    Tensor::from_data(TensorData::new::<f32, _>(values, [count, 3, 8, 8]), &Device::flex())
}

#[test]
fn tokens_are_a_line_and_decode_to_features_and_never_to_pictures() {
    for (kind, architecture, features) in [
        (SeedKind::Seed1, "seed-1", [2, 77, 9]),
        (SeedKind::Seed2, "seed-2", [2, 1, 7]),
        (SeedKind::Seed2Training, "seed-2", [2, 1, 7]),
    ] {
        let tokenizer = ModelConfig::Seed(small(kind)).random(3, &Device::flex()).unwrap();
        assert_eq!(tokenizer.info().architecture, architecture);
        let tokens = tokenizer.encode(&Input::Images(images(2))).unwrap();
        assert_eq!((tokens.layout(), tokens.vocab()), (&TokenLayout::Ordered { len: 5 }, [40].as_slice()));
        let output = tokenizer.decode(&tokens, &DecodeOptions::default()).unwrap();
        assert!(output.clone().into_images().is_none());
        let found = output.into_features().unwrap();
        assert_eq!(found.dims(), features);
        assert!(found.into_data().iter::<f32>().all(f32::is_finite));

        let vectors = tokenizer.embed(&tokens.clone().prefix(2).unwrap()).unwrap().vectors;
        assert_eq!(vectors.dims(), [2, 5, 3]);
        let vectors: Vec<f32> = vectors.into_data().iter().collect();
        assert!(vectors[..6].iter().all(|x| *x != 0.0) && vectors[6..15].iter().all(|x| *x == 0.0));

        // Decoders look both ways, so there are no prefixes.
        assert!(matches!(tokenizer.decode(&tokens, &DecodeOptions::prefix(4)), Err(TokenizerError::Input { .. })));
        let part = tokens.prefix(4).unwrap();
        assert!(matches!(tokenizer.decode(&part, &DecodeOptions::default()), Err(TokenizerError::Input { .. })));
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let config = ModelConfig::Seed(small(SeedKind::Seed2));
    let (one, other) = (config.random(1, &Device::flex()).unwrap(), config.random(2, &Device::flex()).unwrap());
    let wide = Tensor::zeros([1, 3, 8, 12], &Device::flex());
    assert!(matches!(one.encode(&Input::Images(wide)), Err(TokenizerError::Input { .. })));
    let tokens = one.encode(&Input::Images(images(1))).unwrap();
    assert!(matches!(other.decode(&tokens, &DecodeOptions::default()), Err(TokenizerError::OtherModel { .. })));
    let generated = |len: u32, vocab: u32| {
        let ids = vec![1; usize::try_from(len).unwrap()];
        Tokens::new(ids, 1, TokenLayout::Ordered { len }, vec![vocab], Fingerprint::default()).unwrap()
    };
    assert!(one.decode(&generated(5, 40), &DecodeOptions::default()).is_ok());
    assert!(one.decode(&generated(6, 40), &DecodeOptions::default()).is_err());
    assert!(one.decode(&generated(5, 41), &DecodeOptions::default()).is_err());
    assert_eq!(one.encode(&Input::Images(images(1).slice([0..0]))).unwrap().batch(), 0);
}

#[test]
fn configurations_are_read_key_for_key() {
    let read = |text: &str| ModelConfig::from_value(&serde_json::from_str(text).unwrap());
    assert_eq!(read(r#"{"model_type": "seed2_tokenizer"}"#), Ok(ModelConfig::preset("seed-2").unwrap()));
    assert_eq!(read(r#"{"model_type": "seed1_tokenizer"}"#), Ok(ModelConfig::preset("seed-1").unwrap()));
    let stage1 = read(r#"{"model_type": "seed_training_stage1"}"#);
    assert!(matches!(stage1, Err(ConfigError::Unsupported(_))), "{stage1:?}");
    for (text, key) in [
        (r#"{"model_type": "seed3_tokenizer"}"#, "seed3_tokenizer"),
        (r#"{"model_type": "seed2_tokenizer", "vit": {"patch_size": 15}}"#, "vit.patch_size"),
        (r#"{"model_type": "seed2_tokenizer", "vit": {"num_heads": 0}}"#, "vit.num_heads"),
        (r#"{"model_type": "seed2_tokenizer", "vit": {"mlp_ratio": -1}}"#, "vit.mlp_ratio"),
        (r#"{"model_type": "seed2_tokenizer", "vit": {"norm_eps": 0}}"#, "vit.norm_eps"),
        (r#"{"model_type": "seed2_tokenizer", "vit": {"depth": 99999999}}"#, "vit.depth"),
        (r#"{"model_type": "seed2_tokenizer", "qformer": {"encoder_width": 7}}"#, "qformer.encoder_width"),
        (r#"{"model_type": "seed2_tokenizer", "qformer": {"hidden_act": "relu"}}"#, "qformer.hidden_act"),
        (r#"{"model_type": "seed2_tokenizer", "decode_num_heads": 7}"#, "decode_num_heads"),
        (r#"{"model_type": "seed2_tokenizer", "decode_mlp_ratio": 1e300}"#, "decode_mlp_ratio"),
        (r#"{"model_type": "seed2_tokenizer", "image_down_dims": []}"#, "image_down_dims"),
        (r#"{"model_type": "seed2_tokenizer", "resize": "nearest"}"#, "resize"),
        (r#"{"model_type": "seed1_tokenizer", "reverse_qformer": {"encoder_width": 5}}"#, "reverse_qformer"),
        (r#"{"model_type": "seed2_tokenizer", "loss_weights": {"embed": -1}}"#, "loss_weights.embed"),
        (r#"{"model_type": "seed2_tokenizer", "n_embed": "many"}"#, "(whole file)"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(key), "{text}: {error}");
    }
}

#[test]
fn codes_ids_and_words_are_one() {
    let two = VisualVocabulary::llama(8192, 2);
    assert_eq!((two.opening, two.closing, two.total()), (40_192, 40_193, 40_194));
    let codes = [7, 8191];
    assert_eq!(two.ids(&codes).unwrap(), [32_007, 40_191]);
    assert_eq!(two.code_text(&codes).unwrap(), "<img_00007><img_08191>");
    assert_eq!(two.picture(&codes).unwrap(), [40_192, 32_007, 40_191, 40_193]);
    assert_eq!(two.text(&codes).unwrap(), "<img><img_00007><img_08191></img>");
    for text in
        ["<img><img_00007><img_08191></img>", "<img_00007><img_08191>", " <img> <img_00007>\n<img_08191></img> "]
    {
        assert_eq!(two.parse(text).unwrap(), codes, "{text}");
    }
    assert_eq!(two.codes(&[32_007, 40_191]).unwrap(), codes);
    let sequence = [1, 5, 40_192, 32_000, 32_001, 40_193, 9, 40_192, 40_191, 32_000, 40_193, 2];
    let found = two.pictures_in(&sequence).unwrap();
    let found: Vec<_> = found.into_iter().map(|picture| (picture.places, picture.codes)).collect();
    assert_eq!(found, [(2..6, vec![0, 1]), (7..11, vec![8191, 0])]);
    assert_eq!(two.first_picture(&sequence).unwrap(), [0, 1]);
    assert!(two.pictures_in(&[1, 2, 3]).unwrap().is_empty());
    let large = VisualVocabulary::new(100, 200_000, 1).unwrap();
    assert_eq!(large.parse(&large.text(&[123_456]).unwrap()).unwrap(), [123_456]);
}

#[test]
fn broken_pictures_are_told_apart() {
    use VocabularyError::{Code, Length, NotClosed, NotOpened, OtherTokens, Outside, Text, TooLarge};
    let two = VisualVocabulary::llama(8192, 2);
    let at = |ids: &[u32]| two.pictures_in(ids).unwrap_err();
    assert_eq!(at(&[5, 40_192, 32_000, 32_001]), NotClosed { place: 1 });
    assert_eq!(at(&[40_192, 32_000, 40_192, 32_001, 40_193]), NotClosed { place: 0 });
    assert!(matches!(at(&[32_000, 40_193]), NotOpened { .. }));
    assert_eq!(at(&[40_192, 32_000, 40_193]), Length { place: 0, expected: 2, found: 1 });
    assert_eq!(at(&[40_192, 40_193]), Length { place: 0, expected: 2, found: 0 });
    assert_eq!(at(&[40_192, 32_000, 31_999, 40_193]), Outside { id: 31_999, place: 2, first: 32_000, end: 40_192 });
    assert!(matches!(at(&[40_192, 32_000, u32::MAX, 40_193]), Outside { place: 2, .. }));
    assert!(matches!(two.first_picture(&[1, 2]), Err(NotOpened { .. })));
    assert_eq!(two.ids(&[0, 8192]), Err(Code { code: 8192, place: 1, codebook: 8192 }));
    assert!(matches!(two.picture(&[1]), Err(Length { .. })));
    for (text, is_expected) in [
        ("<img><img_00001>", (|error| matches!(error, NotClosed { .. })) as fn(&VocabularyError) -> bool),
        ("<img><img_00001></img>", |error| matches!(error, Length { found: 1, .. })),
        ("<img_08192>", |error| matches!(error, Code { .. })),
        ("<img_1>", |error| matches!(error, Text { place: 0, .. })),
        ("<img_000001>", |error| matches!(error, Text { .. })),
        ("<img_99999999999999999999>", |error| matches!(error, Text { .. })),
        ("<img_0000\u{e9}>", |error| matches!(error, Text { .. })),
        ("<img_00001> cat", |error| matches!(error, Text { place: 12, .. })),
        ("<img><img_00001><img_00001></img><img_00001>", |error| matches!(error, Text { .. })),
        ("</img>", |error| matches!(error, Text { .. })),
    ] {
        let error = two.parse(text).unwrap_err();
        assert!(is_expected(&error), "{text}: {error}");
    }
    assert_eq!(VisualVocabulary::new(u32::MAX, 1, 1), Err(TooLarge { text_vocab: u32::MAX, codebook: 1 }));

    let tokens = two.tokens(&[vec![1, 2], vec![3, 4]]).unwrap();
    assert_eq!(two.pictures_of(&tokens).unwrap(), [[40_192, 32_001, 32_002, 40_193], [40_192, 32_003, 32_004, 40_193]]);
    assert!(two.tokens(&[vec![1]]).is_err() && two.tokens(&[vec![1, 8192]]).is_err());
    let part = tokens.prefix(1).unwrap();
    assert!(matches!(two.pictures_of(&part), Err(OtherTokens { .. })));
    let grid =
        Tokens::new(vec![0; 2], 1, TokenLayout::Grid { height: 1, width: 2 }, vec![8192], Fingerprint::default());
    assert!(matches!(two.pictures_of(&grid.unwrap()), Err(OtherTokens { .. })));
}

fn strong(_: &str, shape: &[usize], init: Init) -> Init {
    if shape.len() > 1 { Init::Normal(0.5) } else { init }
}

#[test]
fn the_second_stage_trains_the_codec_and_leaves_the_encoder() {
    for kind in [SeedKind::Seed1, SeedKind::Seed2, SeedKind::Seed2Training] {
        let (config, device) = (small(kind), Device::flex().autodiff());
        let source = ParamSource::seeded_with(5, &device, &strong);
        let network = SeedNetwork::new(&source.root(), &config, 5).unwrap();
        let specs = source.into_taken();
        let embeddings = network.encoder().forward(Tensor::from_inner(images(2)), &mut Trace::none());
        let [rows, channels] = config.features();
        let teacher = Tensor::ones([2, rows, channels], &device);
        let losses = |teacher| {
            codec_losses(
                network.codec(),
                embeddings.clone(),
                Some(teacher),
                &LossWeights::default(),
                &mut Trace::none(),
            )
        };
        assert!(losses(Tensor::ones([2, rows, channels + 1], &device)).is_err());
        let losses = losses(teacher).unwrap();
        assert_eq!(losses.reconstruction.is_none(), kind == SeedKind::Seed1);
        let sum = |loss: &Option<Tensor<1>>| loss.as_ref().map_or(0.0, |loss| loss.clone().into_scalar::<f32>());
        let expected = 5.0 * losses.quantizer.clone().into_scalar::<f32>()
            + 2.0 * sum(&losses.reconstruction)
            + 0.5 * sum(&losses.distillation);
        let total = losses.total.clone().into_scalar::<f32>();
        assert!((total - expected).abs() < 1e-4 * total.abs().max(1.0), "{total} {expected}");
        for (name, moved) in moved(&network, &specs, &losses.total.backward()) {
            let frozen = ["visual_encoder", "ln_vision", "Qformer", "query_tokens"];
            let frozen = frozen.iter().any(|module| name.starts_with(module));
            // Without layers between, nothing is learnt by what a softmax or a normalisation takes away.
            let idle = name.ends_with("key.bias");
            assert!(moved != frozen || idle, "{kind:?} {name}: {moved}");
        }
    }
}

#[test]
fn the_first_stage_trains_all_but_the_vit() {
    let config =
        ContrastiveConfig { encoder: encoder(), embed_dim: 6, max_txt_len: 4, ..ContrastiveConfig::published() };
    config.check().unwrap();
    let device = Device::flex().autodiff();
    let source = ParamSource::seeded_with(5, &device, &strong);
    let network = SeedContrastive::new(&source.root(), &config, 5).unwrap();
    let specs = source.into_taken();
    let captions =
        Captions { ids: vec![1, 2, 0, 1, 3, 4], mask: vec![true, true, false, true, true, true], shape: [2, 3] };
    let run = |captions: &Captions| {
        contrastive_losses(&network, Tensor::from_inner(images(2)), captions, 0.1, &mut Trace::none())
    };
    let losses = run(&captions).unwrap();
    for (name, moved) in moved(&network, &specs, &losses.loss.backward()) {
        // Words and positions that no caption has are among those that move.
        let idle = name.ends_with("key.bias");
        assert!(moved != name.starts_with("visual_encoder") || idle, "{name}: {moved}");
    }
    for wrong in [
        Captions { shape: [3, 2], ..captions.clone() },
        Captions { shape: [2, 4], ..captions.clone() },
        Captions { shape: [2, 0], ids: vec![], mask: vec![] },
        Captions { shape: [2, 9], ids: vec![1; 18], mask: vec![true; 18] },
        Captions { ids: vec![1, 2, 0, 1, 3, 30], ..captions.clone() },
        Captions { mask: vec![true; 5], ..captions.clone() },
    ] {
        assert!(matches!(run(&wrong), Err(TokenizerError::Input { .. })), "{wrong:?}");
    }
}

#[test]
fn machines_that_share_a_batch_have_its_loss_between_them() {
    let device = Device::flex();
    let features = |name: &str| {
        let values = Init::Normal(1.0).values(24, 1, name);
        tessera_tokenizers::quantizers::l2_normalise(Tensor::<2>::from_data(TensorData::new(values, [4, 6]), &device))
    };
    let (image, text) = (features("image"), features("text"));
    let temperature = || Tensor::<1>::from_floats([0.3], &device);
    let alone = Sides { image: image.clone(), text: text.clone(), all_images: None, all_texts: None, first: 0 };
    let whole: f32 = contrastive_loss(alone, temperature(), 0.1).into_scalar();
    let halves: f32 = [0, 2]
        .map(|first| {
            let own = |all: &Tensor<2>| all.clone().slice([first..first + 2, 0..6]);
            let (all_images, all_texts) = (Some(image.clone()), Some(text.clone()));
            let sides = Sides { image: own(&image), text: own(&text), all_images, all_texts, first };
            contrastive_loss(sides, temperature(), 0.1).into_scalar::<f32>()
        })
        .iter()
        .sum();
    assert!((whole - halves / 2.0).abs() < 1e-5, "{whole} {halves}");

    // By hand: two pairs at right angles, temperature 1: logits 1 and 0.
    let axes = || Tensor::<2>::from_floats([[1.0, 0.0], [0.0, 1.0]], &device);
    let sides = Sides { image: axes(), text: axes(), all_images: None, all_texts: None, first: 0 };
    let loss: f32 = contrastive_loss(sides, Tensor::from_floats([1.0], &device), 0.2).into_scalar();
    let (right, wrong) = (-(1.0 + (-1.0_f32).exp()).ln(), -(1.0 + 1.0_f32.exp()).ln());
    assert!((loss + 0.9 * right + 0.1 * wrong).abs() < 1e-6, "{loss}");
}

#[test]
fn views_and_classes_stand_in_for_captions() {
    let device = Device::flex();
    let axes = || Tensor::<2>::from_floats([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]], &device);
    let temperature = || Tensor::<1>::from_floats([0.5], &device);
    let number = |loss: Tensor<1>| loss.into_scalar::<f32>();
    // Each finds itself and one more that is the same: similarities 2, 2, 0, 0.
    let expected = ((2.0 * 2.0_f32.exp() + 2.0) / 2.0_f32.exp()).ln();
    assert!((number(two_view_loss(axes(), axes(), temperature())) - expected).abs() < 1e-5);
    // Without itself: one that is the same, and two at right angles.
    let right = ((2.0_f32.exp() + 2.0) / 2.0_f32.exp()).ln();
    assert!((number(class_contrastive_loss(axes(), &[5, 7, 5, 7], temperature())) - right).abs() < 1e-5);
    // The third is alone in its class, and so nobody's; the second and fourth find each other.
    assert!((number(class_contrastive_loss(axes(), &[5, 7, 6, 7], temperature())) - right).abs() < 1e-5);
    let wrong = number(class_contrastive_loss(axes(), &[5, 5, 7, 7], temperature()));
    assert!(wrong > right + 1.0, "{wrong} {right}");
    assert_eq!(number(class_contrastive_loss(axes(), &[1, 2, 3, 4], temperature())), 0.0);
}

#[test]
fn unclip_reads_the_normalizer_of_the_diffusion_model() {
    let folder = tempfile::tempdir().unwrap();
    let open = |mean: usize, deviation: usize| {
        let path = folder.path().join("normalizer.safetensors");
        let tensor =
            |name: &str, width| NamedTensor { name: name.to_owned(), shape: vec![1, width], values: vec![2.0; width] };
        let tensors = [tensor("mean", mean), tensor("std", deviation)];
        write_safetensors(&path, &tensors, Precision::F32, Default::default()).unwrap();
        UnclipCondition::load(&Weights::open(&path).unwrap(), &Device::flex())
    };
    let zeros = || Tensor::<2>::zeros([1, 4], &Device::flex());
    let condition = open(4, 4).unwrap().apply(zeros(), zeros(), 0).unwrap();
    // (0 - 2) / 2, less what the level takes, back to 0 and a little: the level takes 0.002 % of it.
    let values: Vec<f32> = condition.into_data().iter().collect();
    assert!((values[0] - 4.13e-5).abs() < 1e-5 && values.len() == 8, "{values:?}");
    assert!(open(4, 5).unwrap_err().to_string().contains("image normalizer"));
}

#[test]
fn small_helpers() {
    let a = Tensor::<3>::from_floats([[[1.0, 0.0], [0.0, 2.0]]], &Device::flex());
    let b = Tensor::<3>::from_floats([[[3.0, 0.0], [5.0, 0.0]]], &Device::flex());
    let loss: f32 = cosine_loss(a, b).into_scalar();
    assert!((loss - 0.5).abs() < 1e-6);
    assert_eq!(clean_caption("A  Cat (on a \"mat\"): nice!", 50), "a cat on a mat nice");
    assert_eq!(clean_caption("one two three", 2), "one two");
}
