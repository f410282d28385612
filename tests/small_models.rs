//! The small models beside the built-in ones: they load, their tokens make pictures, on a GPU as on the CPU.

mod common;

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor};
use common::{open, printed, tessera};
use tessera::datasets::{LoadOptions, load_picture};
use tessera::tokenizers::{Input, Tokenizer, Tokens};
use tessera::{DecodeOptions, DeviceChoice, Framing, framed};

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// An emoji that no model saw, as `[1, 3, 64, 64]`.
fn emoji(model: &dyn Tokenizer, device: &Device) -> Tensor<4> {
    let picture = load_picture(at("examples/data/emoji.webp"), &LoadOptions::default()).unwrap();
    let framing = Framing::Resize(tessera::datasets::Filter::Bicubic);
    let picture = framed(&picture, framing, model.info()).unwrap().into_owned();
    Tensor::<1>::from_floats(picture.to_planar_f32().as_slice(), device).reshape([1, 3, 64, 64])
}

fn psnr(a: Tensor<4>, b: Tensor<4>) -> f32 {
    let error: f32 = (a - b).square().mean().into_scalar();
    -10.0 * error.log10()
}

fn opened(name: &str, device: &Device) -> Box<dyn Tokenizer> {
    tessera::from_pretrained(&at(name).to_string_lossy(), device).unwrap()
}

/// What the CPU and a GPU make of the emoji: the same tokens, and nearly the same picture.
fn the_gpu_agrees(name: &str) {
    let Some(gpu) = open(DeviceChoice::Gpu(0)) else { return };
    let [cpu, gpu] = [Device::flex(), gpu].map(|device| {
        let model = opened(name, &device);
        let tokens = model.encode(&Input::Images(emoji(&*model, &device))).unwrap();
        let picture = model.decode(&tokens, &DecodeOptions::default()).unwrap().into_images().unwrap();
        (tokens.ids().to_vec(), picture.into_data().iter::<f32>().collect::<Vec<_>>())
    });
    // A vector may lie between two codes; a few ids that differ change a picture in a few places.
    let same = cpu.0.iter().zip(&gpu.0).filter(|(a, b)| a == b).count();
    assert!(same * 100 >= cpu.0.len() * 95, "{name}: {same} of {} ids", cpu.0.len());
    if same == cpu.0.len() {
        let error = cpu.1.iter().zip(&gpu.1).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(error < 5e-3, "{name}: {error}");
    }
}

#[test]
fn seed_tiny_gives_more_of_a_picture_for_more_tokens_and_needs_the_right_ones() {
    let device = Device::flex();
    let model = opened("models/seed-tiny", &device);
    let image = emoji(&*model, &device);
    let tokens = model.encode(&Input::Images(image.clone())).unwrap();
    let quality = |keep: usize| {
        let picture = model.decode(&tokens, &DecodeOptions::prefix(keep)).unwrap().into_images().unwrap();
        psnr(picture, image.clone())
    };
    let all = tokens.positions();
    let found = [1, all / 4, all].map(quality);
    println!("{found:?} dB");
    assert!(found[2] > found[1] && found[1] > found[0] && found[2] > found[0] + 2.0, "{found:?}");
    // The same tokens in the opposite order are another picture.
    let ids: Vec<u32> = tokens.ids().iter().rev().copied().collect();
    let other = tessera::tokenizers::Tokens::new(
        ids,
        1,
        tokens.layout().clone(),
        tokens.vocab().to_vec(),
        tokens.fingerprint(),
    );
    let other = model.decode(&other.unwrap(), &DecodeOptions::default()).unwrap().into_images().unwrap();
    assert!(psnr(other, image) < found[2] - 2.0);
    the_gpu_agrees("models/seed-tiny");
}

#[test]
fn dualtoken_tiny_makes_pictures_of_its_pixel_codes_alone() {
    let device = Device::flex();
    let model = opened("models/dualtoken-tiny", &device);
    let image = emoji(&*model, &device);
    let tokens = model.encode(&Input::Images(image.clone())).unwrap();
    let names = model.depth_names();
    let depth = names.len();
    let decoded = |ids: Vec<u32>| {
        let (layout, vocab) = (tokens.layout().clone(), tokens.vocab().to_vec());
        let tokens = Tokens::new(ids, 1, layout, vocab, tokens.fingerprint()).unwrap();
        model.decode(&tokens, &DecodeOptions::default()).unwrap().into_images().unwrap()
    };
    let changed = |kind: &str| {
        let is_kind = |at: usize| names.get(at % depth).is_some_and(|name| name.starts_with(kind));
        let ids = tokens.ids().iter().enumerate().map(|(at, id)| if is_kind(at) { id ^ 1 } else { *id });
        psnr(decoded(ids.collect()), image.clone())
    };
    let right = psnr(decoded(tokens.ids().to_vec()), image.clone());
    let (pixel, semantic) = (changed("pixel"), changed("semantic"));
    println!("{right} dB, {pixel} of other pixel codes, {semantic} of other semantic codes");
    assert!(right > 17.0 && pixel < right - 2.0 && (semantic - right).abs() < 1e-3);
    the_gpu_agrees("models/dualtoken-tiny");
}

#[test]
fn tokenflow_tiny_gives_more_of_a_picture_for_more_scales_and_needs_the_right_tokens() {
    let device = Device::flex();
    let model = opened("models/tokenflow-tiny", &device);
    let image = emoji(&*model, &device);
    let tokens = model.encode(&Input::Images(image.clone())).unwrap();
    let decoded = |tokens: &Tokens, options: &DecodeOptions| {
        psnr(model.decode(tokens, options).unwrap().into_images().unwrap(), image.clone())
    };
    let quality: Vec<f32> = [1, 5, 14, 30, 66, 130].map(|keep| decoded(&tokens, &DecodeOptions::prefix(keep))).to_vec();
    println!("{quality:?} dB");
    assert!(quality.windows(2).all(|pair| pair[1] > pair[0]) && quality[5] > 21.0, "{quality:?}");
    let (layout, vocab) = (tokens.layout().clone(), tokens.vocab().to_vec());
    let other = tokens.ids().iter().map(|id| id ^ 1).collect();
    let other = Tokens::new(other, 1, layout, vocab, tokens.fingerprint()).unwrap();
    assert!(decoded(&other, &DecodeOptions::default()) < quality[5] - 5.0);
    the_gpu_agrees("models/tokenflow-tiny");
}

#[test]
fn reconstruct_takes_each() {
    let folder = tempfile::tempdir().unwrap();
    for model in ["models/seed-tiny", "models/dualtoken-tiny", "models/tokenflow-tiny"] {
        let sheet = folder.path().join("sheet.png");
        let mut command = tessera();
        command
            .arg("reconstruct")
            .arg(at("examples/data/emoji.webp"))
            .arg("--model")
            .arg(at(model))
            .arg("-o")
            .arg(&sheet);
        assert!(printed(&mut command).contains("PSNR"), "{model}");
        assert!(sheet.is_file());
    }
}
