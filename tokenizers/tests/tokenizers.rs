//! Every tokenizer behind the one handle.

use burn::tensor::{Device, Tensor, TensorData};
use tessera_layers::Trace;
use tessera_layers::checkpoint::Weights;
use tessera_tokenizers::maskgit_vqgan::{MaskGitVqganConfig, VqganConfig};
use tessera_tokenizers::one_d_piece::{self, LatentMix, OneDPieceConfig};
use tessera_tokenizers::{
    DecodeOptions, Fingerprint, Input, ModelConfig, TokenLayout, Tokenizer, TokenizerError, Tokens, from_pretrained,
};

fn small(name: &str) -> OneDPieceConfig {
    OneDPieceConfig {
        codebook_size: 40,
        token_size: 5,
        num_latent_tokens: 6,
        vit_enc_patch_size: 4,
        vit_dec_patch_size: 4,
        vit_enc_width: Some(24),
        vit_enc_layers: Some(1),
        vit_enc_heads: Some(2),
        vit_dec_width: Some(16),
        vit_dec_layers: Some(2),
        vit_dec_heads: Some(2),
        proxy_codebook_size: Some(20),
        proxy_embedding_dim: Some(8),
        pixel_decoder: Some(VqganConfig {
            channel_mult: vec![1, 1, 1],
            num_resolutions: 3,
            hidden_channels: 32,
            num_res_blocks: 1,
            z_channels: 8,
            num_channels: 3,
        }),
        crop_size: 16,
        ..OneDPieceConfig::preset(name).unwrap()
    }
}

fn images(count: usize, height: usize, width: usize) -> Tensor<4> {
    let values = (0..count * 3 * height * width).map(|i| (i as f32 * 0.37).sin() * 0.5 + 0.5).collect();
    Tensor::from_data(TensorData::new::<f32, _>(values, [count, 3, height, width]), &Device::flex())
}

fn values(tokenizer: &dyn Tokenizer, tokens: &Tokens, options: &DecodeOptions) -> Vec<f32> {
    let images = tokenizer.decode(tokens, options).unwrap().into_images().unwrap();
    images.into_data().try_to_vec().unwrap()
}

#[test]
fn a_prefix_of_the_tokens_decodes_like_asking_for_so_many() {
    let tokenizer = ModelConfig::OneDPiece(small("one-d-piece-s-256")).random(3, &Device::flex()).unwrap();
    let tokens = tokenizer.encode(&Input::Images(images(2, 16, 16))).unwrap();
    for keep in 1..=6 {
        let asked = values(&*tokenizer, &tokens, &DecodeOptions::prefix(keep));
        let cut = values(&*tokenizer, &tokens.clone().prefix(keep).unwrap(), &DecodeOptions::default());
        assert_eq!(asked, cut, "{keep}");
    }
}

#[test]
fn a_mix_of_frequencies_is_another_start_and_adds_no_parameter() {
    let plain = OneDPieceConfig { strict_length_assertion: Some(false), ..small("titok-bl64-vq8k") };
    let mixed = OneDPieceConfig { latent_mix: Some(LatentMix::Dct), ..plain.clone() };
    let names = |config: &OneDPieceConfig| {
        let specs = one_d_piece::listing(config).unwrap();
        specs.into_iter().map(|spec| (spec.name, spec.shape)).collect::<Vec<_>>()
    };
    assert_eq!(names(&plain), names(&mixed));
    let written = ModelConfig::OneDPiece(mixed.clone()).to_value();
    assert_eq!(written["model"]["vq_model"]["latent_mix"], "dct");
    assert!(ModelConfig::OneDPiece(plain.clone()).to_value()["model"]["vq_model"].get("latent_mix").is_none());

    let open = |config: &OneDPieceConfig| one_d_piece::random_narrow(config, 3, &Device::flex()).unwrap();
    let (plain, mixed) = (open(&plain), open(&mixed));
    let image = images(1, 16, 16);
    let latents = |model: &one_d_piece::OneDPiece, image: Tensor<4>| -> Vec<f32> {
        model.network().latents(image, &mut Trace::none()).into_data().iter().collect()
    };
    assert_ne!(latents(&plain, image.clone()), latents(&mixed, image.clone()));
    // Fewer tokens than frequencies, and a prefix of those: the mask tokens start from what is there.
    let tokens = mixed.encode(&Input::Images(image)).unwrap();
    for keep in 1..=6 {
        assert!(values(&mixed, &tokens, &DecodeOptions::prefix(keep)).iter().all(|value| value.is_finite()));
    }
}

#[test]
fn items_that_keep_different_numbers_of_tokens_decode_as_they_do_alone() {
    let tokenizer = ModelConfig::OneDPiece(small("one-d-piece-s-256")).random(3, &Device::flex()).unwrap();
    let tokens = tokenizer.encode(&Input::Images(images(3, 16, 16))).unwrap();
    let lengths = [5, 2, 5];
    let kept = lengths.iter().flat_map(|&length| (0..6).map(move |at| at < length)).collect();
    let together = values(&*tokenizer, &tokens.clone().with_kept(kept).unwrap(), &DecodeOptions::default());
    for (item, (length, found)) in lengths.into_iter().zip(together.chunks_exact(3 * 16 * 16)).enumerate() {
        let alone = values(&*tokenizer, &tokens.items(item, 1).unwrap(), &DecodeOptions::prefix(length));
        let error = alone.iter().zip(found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(error < 1e-5, "item {item}: {error}");
    }
}

#[test]
fn titok_wants_all_its_tokens_and_no_model_takes_a_subset() {
    let titok = ModelConfig::OneDPiece(small("titok-s128")).random(3, &Device::flex()).unwrap();
    let tokens = titok.encode(&Input::Images(images(1, 16, 16))).unwrap();
    assert!(matches!(titok.decode(&tokens, &DecodeOptions::prefix(3)), Err(TokenizerError::Input { .. })));
    assert!(titok.decode(&tokens, &DecodeOptions::default()).is_ok());

    let one_d_piece = ModelConfig::OneDPiece(small("one-d-piece-s-256")).random(3, &Device::flex()).unwrap();
    let tokens = one_d_piece.encode(&Input::Images(images(1, 16, 16))).unwrap();
    let subset = tokens.with_kept(vec![true, false, true, true, true, true]).unwrap();
    assert!(matches!(one_d_piece.decode(&subset, &DecodeOptions::default()), Err(TokenizerError::Input { .. })));
}

#[test]
fn tokens_of_another_model_are_refused_and_those_of_a_generator_are_not() {
    let config = ModelConfig::OneDPiece(small("one-d-piece-s-256"));
    let (one, other) = (config.random(1, &Device::flex()).unwrap(), config.random(2, &Device::flex()).unwrap());
    let tokens = one.encode(&Input::Images(images(1, 16, 16))).unwrap();
    assert!(matches!(other.decode(&tokens, &DecodeOptions::default()), Err(TokenizerError::OtherModel { .. })));

    let generated = |len: u32, vocab: u32| {
        let ids = vec![1; usize::try_from(len).unwrap()];
        Tokens::new(ids, 1, TokenLayout::Ordered { len }, vec![vocab], Fingerprint::default()).unwrap()
    };
    assert!(one.decode(&generated(6, 40), &DecodeOptions::default()).is_ok());
    assert!(one.decode(&generated(7, 40), &DecodeOptions::default()).is_err());
    assert!(one.decode(&generated(6, 41), &DecodeOptions::default()).is_err());
}

#[test]
fn embedded_tokens_are_the_codes_and_zero_where_nothing_is_kept() {
    let tokenizer = ModelConfig::OneDPiece(small("one-d-piece-s-256")).random(3, &Device::flex()).unwrap();
    let tokens = tokenizer.encode(&Input::Images(images(1, 16, 16))).unwrap().prefix(4).unwrap();
    let vectors: Vec<f32> = tokenizer.embed(&tokens).unwrap().vectors.into_data().try_to_vec().unwrap();
    for (position, vector) in vectors.chunks_exact(5).enumerate() {
        let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        let expected = if position < 4 { 1.0 } else { 0.0 };
        assert!((norm - expected).abs() < 1e-5, "position {position}: {norm}");
    }
}

#[test]
fn saved_written_and_made_from_a_seed_are_the_same_model() {
    let config = small("one-d-piece-s-256");
    let made = one_d_piece::random(&config, 9, &Device::flex()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (saved, written) = (folder.path().join("saved.safetensors"), folder.path().join("written.safetensors"));
    one_d_piece::save(made.network(), made.specs(), &saved).unwrap();
    ModelConfig::OneDPiece(config.clone()).write_random(9, &written).unwrap();
    for path in [saved, written] {
        let loaded = one_d_piece::load(&config, &Weights::open(&path).unwrap(), &Device::flex()).unwrap();
        assert_eq!(loaded.info().fingerprint, made.info().fingerprint, "{}", path.display());
    }
}

#[test]
fn a_folder_opens_as_whatever_its_config_says() {
    let vqgan = MaskGitVqganConfig {
        vqgan: VqganConfig {
            channel_mult: vec![1, 1],
            num_resolutions: 2,
            hidden_channels: 32,
            num_res_blocks: 1,
            ..VqganConfig::default()
        },
        num_embeddings: 30,
    };
    for (config, architecture, layout) in [
        (ModelConfig::OneDPiece(small("one-d-piece-s-256")), "one-d-piece", TokenLayout::Ordered { len: 6 }),
        (ModelConfig::OneDPiece(small("titok-l32")), "titok", TokenLayout::Ordered { len: 6 }),
        (ModelConfig::MaskGitVqgan(vqgan), "maskgit-vqgan", TokenLayout::Grid { height: 8, width: 8 }),
    ] {
        let folder = tempfile::tempdir().unwrap();
        config.write_random(0, &folder.path().join("model.safetensors")).unwrap();
        std::fs::write(folder.path().join("config.json"), config.to_value().to_string()).unwrap();
        let tokenizer = from_pretrained(&folder.path().to_string_lossy(), &Device::flex()).unwrap();
        assert_eq!(tokenizer.info().architecture, architecture);
        let tokens = tokenizer.encode(&Input::Images(images(2, 16, 16))).unwrap();
        assert_eq!((tokens.layout(), tokens.batch()), (&layout, 2));
        let decoded = tokenizer.decode(&tokens, &DecodeOptions::default()).unwrap().into_images().unwrap();
        assert_eq!(decoded.dims(), [2, 3, 16, 16], "{architecture}");
        let wrong = tokenizer.encode(&Input::Images(images(1, 15, 16)));
        assert!(matches!(wrong, Err(TokenizerError::Input { .. })), "{architecture}");
    }
}
