//! SEED's pixel decoder: pictures of prefixes, what is trained by what, and that it learns.

#[path = "common/moved.rs"]
mod moved;

use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Tensor, TensorData};
use moved::moved;
use rand::SeedableRng as _;
use tessera_layers::{Init, Trace};
use tessera_tokenizers::flextok::{Guidance, flow_noise};
use tessera_tokenizers::seed::{
    EncoderConfig, LossWeights, Mix, QformerConfig, SeedConfig, SeedKind, VitConfig, normalise,
};
use tessera_tokenizers::seed_pixels::train::{
    PixelBatch, PixelDraw, draw, picture_loss, pixel_losses, ssim, view_contrast,
};
use tessera_tokenizers::seed_pixels::{
    self, PixelConfig, PixelKind, PixelSampling, SeedPixelsConfig, SeedPixelsNetwork, Shown, sample_pixels,
};
use tessera_tokenizers::{DecodeOptions, Input, ModelConfig, TokenizerError};

fn config(kind: PixelKind, width: usize) -> SeedPixelsConfig {
    let vit = VitConfig {
        img_size: 16,
        patch_size: 4,
        embed_dim: 16,
        depth: 1,
        num_heads: 2,
        mlp_ratio: 2.0,
        ..Default::default()
    };
    let qformer = QformerConfig {
        hidden_size: 24,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        intermediate_size: 32,
        encoder_width: 16,
        ..Default::default()
    };
    let seed = SeedConfig {
        encoder: EncoderConfig { vit, qformer, num_query_token: 6, ..Default::default() },
        codebook_embed_dim: 4,
        n_embed: 64,
        decode_depth: 1,
        decode_num_heads: 2,
        image_down_dims: vec![8, 4],
        image_features_dim: 16,
        ..SeedConfig::released(SeedKind::Seed2)
    };
    let pixels = PixelConfig { kind, side: 8, patch: 2, width, depth: 2, heads: 2, steps: 4, ..Default::default() };
    SeedPixelsConfig::new(seed, pixels)
}

fn images(count: usize, side: usize) -> Tensor<4> {
    // Each of its own colours, with an edge in a place of its own.
    let value = |item: usize, channel: usize, y: usize, x: usize| {
        let inside = (x * 4 / side + item) % 4 < 2 && y * 4 / side >= item % 3;
        ((item * 5 + channel * 3 + 3 * usize::from(inside)) % 7) as f32 / 6.0
    };
    let mut values = Vec::new();
    for item in 0..count {
        for channel in 0..3 {
            for y in 0..side {
                values.extend((0..side).map(|x| value(item, channel, y, x)));
            }
        }
    }
    Tensor::from_data(TensorData::new(values, [count, 3, side, side]), &Device::flex())
}

fn floats(tensor: Tensor<4>) -> Vec<f32> {
    tensor.into_data().iter().collect()
}

#[test]
fn any_prefix_decodes_to_a_picture_of_the_encoders_size() {
    for kind in [PixelKind::Flow, PixelKind::Direct] {
        let model = ModelConfig::SeedPixels(config(kind, 16)).random(3, &Device::flex()).unwrap();
        assert!(model.info().prefix_decodes);
        assert_eq!(model.info().is_sampled, kind == PixelKind::Flow);
        let tokens = model.encode(&Input::Images(images(2, 16))).unwrap();
        let decoded = |options: &DecodeOptions| floats(model.decode(&tokens, options).unwrap().into_images().unwrap());
        let mut options = DecodeOptions::default();
        assert_eq!(model.decode(&tokens, &options).unwrap().into_images().unwrap().dims(), [2, 3, 16, 16]);
        for keep in 1..=6 {
            let cut = model.decode(&tokens.clone().prefix(keep).unwrap(), &DecodeOptions::default()).unwrap();
            assert_eq!(decoded(&DecodeOptions::prefix(keep)), floats(cut.into_images().unwrap()), "{keep}");
        }
        for keep in [0, 7] {
            let refused = model.decode(&tokens, &DecodeOptions::prefix(keep));
            assert!(matches!(refused, Err(TokenizerError::Input { .. })), "{keep}");
        }
        let subset = tokens.clone().with_kept([false, true, true, true, true, true].repeat(2)).unwrap();
        assert!(model.decode(&subset, &DecodeOptions::default()).is_err());
        let plain = decoded(&options);
        options.flow.seed = 1;
        // Zero starts make all velocities zero: the noise is the picture.
        assert_eq!(decoded(&options) == plain, kind == PixelKind::Direct);
        options.flow.steps = Some(0);
        assert!(model.decode(&tokens, &options).is_err());
    }
}

#[test]
fn a_configuration_is_read_and_written_and_wrong_sizes_are_named() {
    let whole = ModelConfig::SeedPixels(config(PixelKind::Direct, 16));
    assert_eq!(ModelConfig::from_value(&whole.to_value()).unwrap(), whole);
    let mut wrong = whole.to_value();
    for (key, value) in [
        ("patch", 3),
        ("width", 6),
        ("heads", 5),
        ("depth", 0),
        ("steps", 0),
        ("guidance", -1),
        ("ramp", 2),
        ("contrast", 1),
        ("squared_error", -1),
    ] {
        let old = wrong["pixels"][key].clone();
        wrong["pixels"][key] = value.into();
        let error = ModelConfig::from_value(&wrong).unwrap_err().to_string();
        assert!(error.contains(key), "{key}: {error}");
        wrong["pixels"][key] = old;
    }
}

/// One pass of training.
fn losses(network: &SeedPixelsNetwork, shown: Shown, trains_encoder: bool) -> seed_pixels::train::PixelLosses {
    let seen = normalise(images(2, 16)).autodiff();
    let embeddings = network.seed().encoder().forward(seen, &mut Trace::none());
    let noise = flow_noise(1, 0, [2, 3, 8, 8], &Device::flex()).autodiff();
    let draws = vec![PixelDraw { shown, time: 0.5 }; 2];
    let images = images(2, 8).autodiff();
    let batch = PixelBatch { embeddings, images, noise, draws, teacher: None, trains_encoder };
    pixel_losses(network, batch, &LossWeights::default()).unwrap()
}

#[test]
fn pixels_train_the_codec_straight_through_the_quantizer_and_never_the_encoder() {
    for kind in [PixelKind::Flow, PixelKind::Direct] {
        let device = Device::flex().autodiff();
        // The head that starts at zero passes nothing on: give it one step first.
        let (network, specs) = seed_pixels::random(&config(kind, 16), 2, &device).unwrap().into_network();
        let network = train(network, 3, |network, _| {
            let losses = losses(network, Shown::prefix(6), false);
            losses.codec.total + losses.pixels
        });
        let found = losses(&network, Shown::prefix(6), false);
        let gradients = found.pixels.backward();
        let found_moved = moved(&network, &specs, &gradients);
        let is_moved = |name: &str| found_moved.iter().any(|(other, moved)| other.starts_with(name) && *moved);
        for name in [
            "encode_task_layer",
            "decode_task_layer",
            "blocks_image",
            "image_down",
            "distill_image_proj",
            "pixel_decoder",
        ] {
            assert!(is_moved(name), "{kind:?} {name}");
        }
        // No prefix and no null was shown, and rebuilding is no matter of pixels.
        for name in [
            "visual_encoder",
            "ln_vision",
            "Qformer",
            "query_tokens",
            "quantize",
            "blocks.",
            "pos_embed.",
            "pixel_decoder.mask_vector",
        ] {
            assert!(!is_moved(name), "{kind:?} {name}");
        }
        // Where it is asked for, the encoder learns too, but for the text that it has not.
        let through = losses(&network, Shown::prefix(6), true);
        let gradients = through.pixels.backward();
        let found_moved = moved(&network, &specs, &gradients);
        let is_moved = |name: &str| found_moved.iter().any(|(other, moved)| other.starts_with(name) && *moved);
        for name in ["visual_encoder.blocks", "ln_vision", "Qformer", "query_tokens"] {
            assert!(is_moved(name), "{kind:?} {name}");
        }
        let part = losses(&network, Shown::prefix(2), false);
        let gradients = part.pixels.backward();
        let found_moved = moved(&network, &specs, &gradients);
        assert!(found_moved.iter().any(|(name, moved)| name == "pixel_decoder.mask_vector" && *moved));
        // SEED's own losses do not see the prefix.
        let number = |loss: Tensor<1>| loss.into_scalar::<f32>();
        assert_eq!(number(part.codec.total), number(found.codec.total));
    }
}

/// Adam on everything that has a gradient.
fn train(
    network: SeedPixelsNetwork,
    steps: usize,
    mut loss: impl FnMut(&SeedPixelsNetwork, usize) -> Tensor<1>,
) -> SeedPixelsNetwork {
    let mut network = network;
    let mut optimizer = AdamConfig::new().init();
    for step in 0..steps {
        let gradients = loss(&network, step).backward();
        let gradients = GradientsParams::from_grads(gradients, &network);
        network = optimizer.step(3e-3, network, gradients);
    }
    network
}

/// What a trained encoder would make of different pictures: embeddings that tell them apart. One at its start does not.
fn embeddings(count: usize) -> Tensor<3> {
    let values = Init::Normal(1.0).values(count * 6 * 24, 1, "embeddings");
    Tensor::<3>::from_data(TensorData::new(values, [count, 6, 24]), &Device::flex()).autodiff()
}

fn psnr(a: &[f32], b: &[f32]) -> f32 {
    let error: f32 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>() / a.len() as f32;
    -10.0 * error.log10()
}

/// PSNR of a decoder of one pass, started from `seed` and trained on six pictures: of all tokens, of the first, of other pictures'.
fn decoder_of_one_pass(seed: u64) -> [f32; 3] {
    let device = Device::flex().autodiff();
    let config = config(PixelKind::Direct, 32);
    let (network, _) = seed_pixels::random(&config, seed, &device).unwrap().into_network();
    let (count, tokens) = (6, 6);
    let embeddings = embeddings(count);
    let noise = Tensor::zeros([count, 3, 8, 8], &device);
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let network = train(network, 400, |network, _| {
        let draws = draw(&config.pixels, tokens, count, &mut rng);
        let (embeddings, images, noise) = (embeddings.clone(), images(count, 8).autodiff(), noise.clone());
        let batch = PixelBatch { embeddings, images, noise, draws, teacher: None, trains_encoder: false };
        let found = pixel_losses(network, batch, &LossWeights::default()).unwrap();
        found.codec.total + found.pixels.mul_scalar(4.0)
    });
    let codec = network.seed().codec();
    let ids = codec.quantizer().indices(codec.latents(embeddings));
    let target = floats(images(count, 8));
    let found = |ids: Tensor<2, burn::tensor::Int>, keep: usize| {
        let vectors = codec.dequantize(codec.quantizer().vectors(ids), &mut Trace::none());
        let condition = network.condition(vectors, &vec![Shown::prefix(keep); count]);
        let pictures = network.pixels().pictures(condition).unwrap();
        psnr(&floats(pictures.add_scalar(1.0).mul_scalar(0.5)), &target)
    };
    let whole = found(ids.clone(), tokens);
    let other = Tensor::cat(vec![ids.clone().slice([1..count]), ids.clone().slice([0..1])], 0);
    let wrong = found(other, tokens);
    [whole, found(ids, 1), wrong]
}

/// Codes that two pictures share at the start may stay shared, whatever the rounding decides; one of three starts tells them apart.
#[test]
fn a_decoder_of_one_pass_learns_its_pictures_and_needs_their_tokens() {
    let mut found = [4, 3, 2].into_iter().map(decoder_of_one_pass).inspect(|found| println!("{found:?}"));
    let [whole, first, wrong] = found.find(|[whole, ..]| *whole > 22.0).expect("one start learns its pictures");
    assert!(wrong < whole - 6.0, "{wrong} dB of other tokens, {whole} of their own");
    assert!(first < whole + 0.5, "{first} dB of the first token, {whole} of all");
}

#[test]
fn a_flow_learns_its_pictures() {
    let device = Device::flex().autodiff();
    let config = config(PixelKind::Flow, 32);
    let (network, _) = seed_pixels::random(&config, 2, &device).unwrap().into_network();
    let count = 4;
    let embeddings = embeddings(count);
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let (mut first, mut last) = (Vec::new(), Vec::new());
    let network = train(network, 500, |network, step| {
        // Four draws of each picture at once.
        let draws = draw(&config.pixels, 6, 4 * count, &mut rng);
        let noise = flow_noise(step as u64, 0, [4 * count, 3, 8, 8], &Device::flex()).autodiff();
        let (embeddings, images) = (embeddings.clone().repeat_dim(0, 4), images(count, 8).repeat_dim(0, 4).autodiff());
        let batch = PixelBatch { embeddings, images, noise, draws, teacher: None, trains_encoder: false };
        let found = pixel_losses(network, batch, &LossWeights::default()).unwrap();
        let number: f32 = found.pixels.clone().into_scalar();
        if step < 20 {
            first.push(number)
        } else {
            last.push(number)
        }
        found.codec.total + found.pixels.mul_scalar(4.0)
    });
    let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
    let (first, last) = (mean(&first), mean(&last[last.len() - 50..]));
    assert!(last < 0.5 * first, "{first} {last}");

    let codec = network.seed().codec();
    let vectors = codec.quantizer().vectors(codec.quantizer().indices(codec.latents(embeddings)));
    let condition = network.condition(codec.dequantize(vectors, &mut Trace::none()), &[Shown::prefix(6); 4]);
    let noise = flow_noise(9, 0, [count, 3, 8, 8], &Device::flex()).autodiff();
    let sampled = |guidance: f32| {
        let sampling = PixelSampling { steps: 12, guidance: Guidance::Constant(guidance) };
        let pictures = sample_pixels(network.pixels(), condition.clone(), noise.clone(), &sampling);
        psnr(&floats(pictures.add_scalar(1.0).mul_scalar(0.5)), &floats(images(count, 8)))
    };
    let (plain, guided) = (sampled(1.0), sampled(1.5));
    println!("plain {plain}, guided {guided}, loss {first} to {last}");
    assert!(plain > 12.0 && plain != guided, "{plain} {guided}");
}

#[test]
fn views_of_one_picture_find_each_other_by_their_last_tokens() {
    let device = Device::flex().autodiff();
    let (network, _) = seed_pixels::random(&config(PixelKind::Direct, 16), 2, &device).unwrap().into_network();
    let (first, number) = (embeddings(4), |loss: Tensor<1>| loss.into_scalar::<f32>());
    let same = number(view_contrast(&network, first.clone(), first.clone(), 0.07));
    let turned = Tensor::cat(vec![first.clone().slice([1..4]), first.clone().slice([0..1])], 0);
    let other = number(view_contrast(&network, first.clone(), turned, 0.07));
    assert!(same < other - 1.0, "{same} {other}");
    // Tokens before the last do not count.
    let early = Tensor::cat(vec![first.clone().slice([0..4, 0..5]).neg(), first.clone().slice([0..4, 5..6])], 1);
    assert_eq!(number(view_contrast(&network, early, first, 0.07)), same);
}

#[test]
fn alike_pictures_lose_nothing_and_each_fault_costs() {
    let (a, b) =
        (images(2, 16).mul_scalar(2.0).sub_scalar(1.0), images(3, 16).slice([1..3]).mul_scalar(2.0).sub_scalar(1.0));
    let number = |loss: Tensor<1>| loss.into_scalar::<f32>();
    assert!(number(picture_loss(a.clone(), a.clone())).abs() < 1e-5);
    assert!((number(ssim(a.clone(), a.clone())) - 1.0).abs() < 1e-5);
    assert!(number(ssim(a.clone(), b.clone())) < 0.9);
    assert!((number(ssim(a.clone(), b.clone())) - number(ssim(b.clone(), a.clone()))).abs() < 1e-6);
    // A constant shift has no other edges; its costs are the shift and what it takes from the likeness.
    let shifted = a.clone().add_scalar(0.1);
    let loss = number(picture_loss(shifted.clone(), a.clone()));
    let expected = 0.1 + 0.2 * (1.0 - number(ssim(shifted, a.clone())));
    assert!((loss - expected).abs() < 1e-4, "{loss} {expected}");
    // Pictures narrower than the window.
    assert!((number(ssim(images(1, 4), images(1, 4))) - 1.0).abs() < 1e-5);
}

/// A configuration whose queries and patches start from a cosine transform.
fn mixed(kind: PixelKind) -> SeedPixelsConfig {
    let mut config = config(kind, 16);
    config.seed.encoder.qformer.hidden_size = 16;
    config.seed.encoder.query_mix = Some(Mix::Dct);
    config.pixels.patch_mix = Some(Mix::Dct);
    config
}

#[test]
fn mixed_queries_stay_causal_and_only_shown_tokens_are_spread_over_the_patches() {
    for kind in [PixelKind::Flow, PixelKind::Direct] {
        let config = mixed(kind);
        assert_eq!(SeedPixelsConfig::from_value(&config.to_value()).unwrap(), config);
        let (network, specs) = seed_pixels::random(&config, 3, &Device::flex()).unwrap().into_network();
        assert!(specs.iter().any(|spec| spec.name == "pixel_decoder.mix_proj.weight"));
        let encoder = network.seed().encoder();
        let see = |pictures: Tensor<4>| {
            let vision = encoder.vision(normalise(pictures), &mut Trace::none());
            encoder.normalised(vision, &mut Trace::none())
        };
        let vision = see(images(2, 16));
        let queries = encoder.query_tokens() + encoder.mix(&vision).unwrap();
        let [batch, count, width] = queries.dims();
        assert_eq!([batch, count, width], [2, 6, 16]);
        let look = |queries: Tensor<3>| -> Vec<f32> {
            let rows = encoder.look(queries, vision.clone(), true, &mut Trace::none());
            rows.slice([0..batch, 0..3, 0..width]).into_data().iter().collect()
        };
        let (all, first) = (look(queries.clone()), look(queries.clone().slice([0..batch, 0..3, 0..width])));
        assert!(all.iter().zip(&first).all(|(a, b)| (a - b).abs() < 1e-5));
        // A picture of one colour has no frequency but the lowest.
        let flat = see(Tensor::ones([1, 3, 16, 16], &Device::flex()));
        let mix = encoder.mix(&flat).unwrap();
        let sizes: Vec<f32> = mix.square().sum_dim(2).into_data().iter().collect();
        // Positions are added to the patches, so that it is not nothing.
        assert!(sizes[1..].iter().all(|size| *size < 0.3 * sizes[0]), "{sizes:?}");

        let dequantized = Tensor::<3>::ones([3, 6, 16], &Device::flex());
        let shown = [Shown::prefix(6), Shown::prefix(1), Shown { keep: 6, is_null: true }];
        let spread = network.condition(dequantized, &shown).spread.unwrap();
        assert_eq!(spread.dims(), [3, 16, 16]);
        let rows: Vec<f32> = spread.into_data().iter().collect();
        // One token is the lowest frequency: all patches are alike. A null condition spreads nothing.
        let (one, null) = (&rows[256..512], &rows[512..]);
        assert!(one.chunks(16).all(|patch| patch.iter().zip(one).all(|(a, b)| (a - b).abs() < 1e-6)));
        assert!(one.iter().any(|value| *value != 0.0) && null.iter().all(|value| *value == 0.0));
        assert!(rows[..256].chunks(16).any(|patch| patch != &rows[..16]));
    }
    let mut wrong = mixed(PixelKind::Direct);
    wrong.seed.encoder.qformer.hidden_size = 24;
    let error = wrong.check().unwrap_err().to_string();
    assert!(error.contains("qformer.hidden_size") && error.contains("query_mix"), "{error}");
}

#[test]
fn pictures_have_vectors_before_and_behind_the_codebook() {
    let model = ModelConfig::SeedPixels(config(PixelKind::Direct, 16)).random(3, &Device::flex()).unwrap();
    let found = model.item_vectors(&Input::Images(images(2, 16))).unwrap();
    let shapes: Vec<_> = found.iter().map(|(name, vectors)| (*name, vectors.dims())).collect();
    assert!(shapes.contains(&("causal embeddings", [2, 6 * 24])), "{shapes:?}");
    assert!(shapes.contains(&("semantic features of tokens", [2, 16])), "{shapes:?}");
    assert!(model.item_vectors(&Input::Images(images(2, 8))).is_err());
}
