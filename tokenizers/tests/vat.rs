//! VAT beyond its recorded cases.

#[path = "common/small_vat.rs"]
mod small_vat;

use burn::tensor::{Device, Int, Tensor, TensorData};
use serde_json::{Value, json};
use small_vat::{config, document, floats, spheres};
use tessera_layers::checkpoint::{CheckpointError, Weights};
use tessera_layers::{ParamSource, Tap, Trace};
use tessera_shaders::device::{DeviceChoice, largest_buffer};
use tessera_shaders::{PlaneMerge, triplane_sample_reference};
use tessera_tokenizers::bitstream::payload;
use tessera_tokenizers::quantizers::scales::ScaleNames;
use tessera_tokenizers::quantizers::{ScaleQuantizer, ScaleQuantizerConfig};
use tessera_tokenizers::vat::{self, OccupancyField, Vat, VatConfig};
use tessera_tokenizers::{
    DecodeOptions, Fingerprint, Input, InputKind, LoadError, ModelConfig, TokenFile, TokenLayout, Tokenizer as _,
    TokenizerError, Tokens, from_pretrained, read_tsr, write_tsr,
};

fn small() -> Vat {
    vat::random(&config(&[]).unwrap(), 7, &Device::flex()).unwrap()
}

fn input(radii: &[f32]) -> Input {
    let (points, normals) = spheres(radii, 40, &Device::flex());
    Input::Points { points, normals: Some(normals) }
}

fn assert_close(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (at, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= tolerance, "{what}: at {at} found {a}, expected {b}");
    }
}

fn field(model: &Vat, tokens: &Tokens, options: &DecodeOptions) -> OccupancyField {
    model.decode(tokens, options).unwrap().into_field().unwrap()
}

const PROBES: [[f32; 3]; 5] =
    [[0.0, 0.0, 0.0], [0.4, -0.9, 0.2], [1.25, -1.25, 1.0], [-0.3, 0.7, -1.1], [9.0, -9.0, 0.5]];

#[test]
fn the_order_of_points_says_nothing() {
    let model = small();
    let (points, normals) = spheres(&[0.5, 0.8], 40, &Device::flex());
    let order: Vec<i32> = (0..40).map(|at| (at * 17 + 5) % 40).collect();
    let order = Tensor::<1, Int>::from_data(TensorData::new(order, [40]), &Device::flex());
    let shuffled = Input::Points {
        points: points.clone().select(1, order.clone()),
        normals: Some(normals.clone().select(1, order)),
    };
    let plain = Input::Points { points, normals: Some(normals) };
    let (a, b) = (model.latents(&plain).unwrap(), model.latents(&shuffled).unwrap());
    assert_close(&floats(a), &floats(b), 1e-5, "latents of shuffled points");
    assert_eq!(model.encode(&plain).unwrap(), model.encode(&shuffled).unwrap());
}

#[test]
fn what_is_watched_is_what_is_computed_unwatched() {
    let model = small();
    let Input::Points { points, normals } = input(&[0.6]) else { unreachable!() };
    let plain = model.network().moments(points.clone(), normals.clone(), &mut Trace::none());
    let mut names = Vec::new();
    let mut observer = |name: &str, _: Tap| names.push(name.to_owned());
    let watched = model.network().moments(points, normals, &mut Trace::new(&mut observer));
    assert_close(&floats(plain.mu), &floats(watched.mu), 1e-5, "mu");
    assert_close(&floats(plain.logvar), &floats(watched.logvar), 1e-5, "logvar");
    let expected = ["point_features", "tokens_in", "block0", "block1", "out"].map(|name| format!("encoder.{name}"));
    assert_eq!(names, expected);
}

#[test]
fn any_prefix_decodes_to_its_whole_scales_and_items_may_keep_different_ones() {
    let model = small();
    let tokens = model.encode(&input(&[0.4, 0.7, 0.9])).unwrap();
    assert_eq!(tokens.layout(), &TokenLayout::Scales { counts: vec![1, 3, 4, 9] });
    let ends = [1, 4, 8, 17];
    for end in ends {
        let asked = field(&model, &tokens, &DecodeOptions::prefix(end));
        let cut = field(&model, &tokens.clone().prefix(end).unwrap(), &DecodeOptions::default());
        assert_eq!(asked.evaluate(1, &PROBES).unwrap(), cut.evaluate(1, &PROBES).unwrap(), "{end}");
    }
    let kept = [4, 17, 1].into_iter().flat_map(|end| (0..17).map(move |at| at < end)).collect();
    let mixed = field(&model, &tokens.clone().with_kept(kept).unwrap(), &DecodeOptions::default());
    for (item, end) in [4, 17, 1].into_iter().enumerate() {
        let alone = field(&model, &tokens.items(item, 1).unwrap(), &DecodeOptions::prefix(end));
        let (mixed, alone) = (mixed.evaluate(item, &PROBES).unwrap(), alone.evaluate(0, &PROBES).unwrap());
        assert_close(&mixed, &alone, 1e-5, "an item among others");
    }
    // Tokens of an unfinished scale say nothing yet.
    for (keep, end) in [(2, 1), (3, 1), (5, 4), (16, 8)] {
        let [asked, whole] = [keep, end].map(|keep| field(&model, &tokens, &DecodeOptions::prefix(keep)));
        assert_eq!(asked.evaluate(2, &PROBES).unwrap(), whole.evaluate(2, &PROBES).unwrap(), "{keep}");
        let cut = field(&model, &tokens.clone().prefix(keep).unwrap(), &DecodeOptions::default());
        assert_eq!(cut.evaluate(2, &PROBES).unwrap(), whole.evaluate(2, &PROBES).unwrap(), "{keep}");
    }
    for keep in [0, 18] {
        let refused = model.decode(&tokens, &DecodeOptions::prefix(keep)).unwrap_err();
        assert!(refused.to_string().contains("[1, 4, 8, 17]"), "{refused}");
    }
    let subset = tokens.clone().with_kept((0..51).map(|at| at % 2 == 0).collect()).unwrap();
    assert!(matches!(model.decode(&subset, &DecodeOptions::default()), Err(TokenizerError::Input { .. })));
    let embedded = model.embed(&tokens.prefix(4).unwrap()).unwrap();
    assert_eq!(embedded.vectors.dims(), [3, 17, 4]);
    let row = floats(embedded.vectors.narrow(0, 0, 1));
    assert!(row[..16].iter().any(|&x| x != 0.0) && row[16..].iter().all(|&x| x == 0.0));
}

#[test]
fn a_shape_takes_the_bytes_that_its_preset_says() {
    for (name, tokens, bytes) in [
        ("vat-512b", 511, 511),
        ("vat-paper-256", 680, 680),
        ("vat-paper-576", 1256, 2041),
        ("vat-paper-1024", 2280, 3990),
    ] {
        let quantizer = VatConfig::preset(name).unwrap().quantizer;
        assert_eq!((quantizer.tokens(), quantizer.payload_bytes()), (tokens, bytes), "{name}");
        let vocab = u32::try_from(quantizer.codebook_size).unwrap();
        let ids = (0..u32::try_from(tokens).unwrap()).map(|at| at * 7919 % vocab).collect();
        let tokens = Tokens::new(ids, 1, quantizer.layout(), vec![vocab], Fingerprint([9; 32])).unwrap();
        let packed = payload(&tokens);
        assert_eq!(packed.len(), bytes, "{name}");
        let file = write_tsr(&TokenFile::new(tokens.clone())).unwrap();
        // The header: 44 bytes, the scales, the vocabulary, a checksum; behind the payload another.
        let header = 44 + 4 + 4 * quantizer.scales.len() + 4 + 4;
        assert_eq!(file.len(), header + bytes + 4, "{name}");
        assert_eq!(file.get(header..header + bytes), Some(packed.as_slice()));
        assert_eq!(read_tsr(&file, false).unwrap().tokens, tokens);
    }
    let quantizer = VatConfig::preset("512b").unwrap().quantizer;
    let tokens = Tokens::new(vec![3; 511], 1, quantizer.layout(), vec![256], Fingerprint::default()).unwrap();
    assert_eq!(payload(&tokens.prefix(127).unwrap()).len(), 127);
}

#[test]
fn a_coarse_shape_survives_its_file() {
    let model = small();
    let tokens = model.encode(&input(&[0.4, 0.7])).unwrap().prefix(4).unwrap();
    let bytes = write_tsr(&TokenFile::new(tokens.clone())).unwrap();
    let again = read_tsr(&bytes, false).unwrap().tokens;
    assert_eq!(again, tokens);
    let decoded = |tokens: &Tokens| field(&model, tokens, &DecodeOptions::default()).evaluate(1, &PROBES).unwrap();
    assert_eq!(decoded(&again), decoded(&tokens));
    // And a file that was cut off decodes to the scales that arrived.
    let (cut, _) = bytes.split_at(bytes.len() - 5);
    let cut = read_tsr(cut, true).unwrap();
    assert!(cut.cut.is_some_and(|cut| cut.present < 8));
    let coarse = tokens.prefix(1).unwrap();
    assert_eq!(decoded(&cut.tokens), decoded(&coarse));
}

#[test]
fn other_inputs_are_refused_in_words() {
    let model = small();
    assert_eq!(model.info().input, InputKind::Points { count: 40, with_normals: true });
    let device = Device::flex();
    let refused = |input: &Input| {
        let error = model.encode(input).unwrap_err();
        assert!(matches!(error, TokenizerError::Input { .. }), "{error}");
        error.to_string()
    };
    let points = |shape: [usize; 3]| Tensor::<3>::ones(shape, &device).mul_scalar(0.5);
    let with = |points: Tensor<3>, normals| Input::Points { points, normals };
    assert!(refused(&Input::Images(Tensor::zeros([1, 3, 8, 8], &device))).contains("found pictures [1, 3, 8, 8]"));
    assert!(refused(&with(points([1, 5, 3]), None)).contains("without normals"));
    refused(&with(points([1, 5, 2]), Some(points([1, 5, 2]))));
    refused(&with(points([1, 5, 3]), Some(points([1, 4, 3]))));
    refused(&with(points([1, 0, 3]), Some(points([1, 0, 3]))));
    for bad in [f32::NAN, f32::INFINITY] {
        let mut numbers = vec![0.5; 15];
        numbers[7] = bad;
        let bad = Tensor::from_data(TensorData::new(numbers, [1, 5, 3]), &device);
        assert!(refused(&with(bad.clone(), Some(points([1, 5, 3])))).contains("not finite"));
        assert!(refused(&with(points([1, 5, 3]), Some(bad))).contains("not finite"));
    }
    let other = ModelConfig::preset("one-d-piece-s-256").unwrap();
    assert!(matches!(other, ModelConfig::OneDPiece(_)));
    let without = config(&[("input", "use_normals", json!(false))]).unwrap();
    let without = vat::random(&without, 1, &device).unwrap();
    let (bare, extra) = (with(points([2, 5, 3]), None), with(points([2, 5, 3]), Some(points([2, 5, 3]))));
    assert_eq!(without.encode(&bare).unwrap(), without.encode(&extra).unwrap());
}

#[test]
fn a_field_is_the_same_in_passes_of_any_size() {
    let model = small();
    let tokens = model.encode(&input(&[0.4, 0.7])).unwrap();
    let whole = field(&model, &tokens, &DecodeOptions::default());
    assert_eq!((whole.items(), whole.bounds()), (2, 1.25));
    let (grid, points) = (whole.grid(1, 7).unwrap(), whole.evaluate(1, &PROBES).unwrap());
    for chunk in [1, 7, 64, 1000] {
        let parts = whole.clone().with_chunk(chunk);
        assert_close(&parts.grid(1, 7).unwrap(), &grid, 1e-6, "grid");
        assert_close(&parts.evaluate(1, &PROBES).unwrap(), &points, 1e-6, "points");
        let tensor = Tensor::<2>::from_data(TensorData::new(PROBES.concat(), [5, 3]), &Device::flex());
        assert_close(&floats(parts.logits(1, tensor).unwrap()), &points, 1e-6, "tensor");
        let mut most = 0;
        parts.for_each_pass(0, 7, |pass| most = most.max(pass.len())).unwrap();
        assert_eq!(most, chunk.min(343));
    }
    let at = |index: usize| (2.5 * index as f32 / 6.0) - 1.25;
    let some = [[0, 0, 0], [6, 6, 6], [1, 2, 5]];
    let direct = whole.evaluate(1, &some.map(|place| place.map(at))).unwrap();
    assert_close(&direct, &some.map(|[x, y, z]| grid[(x * 7 + y) * 7 + z]), 1e-5, "order of the grid");
    // Beyond the box is its border.
    let (outside, border) = ([[9.0, -3.0, 0.2]], [[1.25, -1.25, 0.2]]);
    assert_close(&whole.evaluate(0, &outside).unwrap(), &whole.evaluate(0, &border).unwrap(), 1e-6, "border");
    assert!(whole.evaluate(2, &PROBES).is_err() && whole.grid(0, 0).is_err() && whole.grid(0, 1025).is_err());
    assert!(whole.evaluate(0, &[]).unwrap().is_empty());
    assert_eq!(whole.grid(0, 1).unwrap(), whole.evaluate(0, &[[-1.25; 3]]).unwrap());
}

#[test]
fn the_features_of_points_are_those_of_the_reference() {
    let model = small();
    let latents = model.latents(&input(&[0.4, 0.7])).unwrap();
    let planes = model.network().planes(latents, &mut Trace::none());
    assert_eq!(planes.dims(), [2, 3, 5, 6, 6]);
    let points =
        Tensor::<3>::from_data(TensorData::new([PROBES, PROBES].concat().concat(), [2, 5, 3]), &Device::flex());
    let mut features = None;
    let mut observer = |name: &str, tap: Tap| {
        if let ("occupancy.features", Tap::Rank3(tensor)) = (name, tap) {
            features = Some(tensor);
        }
    };
    model.network().logits(planes.clone(), points.clone(), &mut Trace::new(&mut observer));
    let expected = triplane_sample_reference(planes, points.div_scalar(1.25), PlaneMerge::Concat);
    assert_close(&floats(features.unwrap()), &floats(expected), 1e-5, "features");
}

#[test]
fn presets_are_those_of_the_list() {
    let listed: Value = serde_json::from_str(include_str!("data/vat-presets.json")).unwrap();
    let listed = listed.as_object().unwrap();
    assert_eq!(listed.len(), vat::PRESETS.len());
    for (name, document) in listed {
        let preset = VatConfig::preset(&format!("vat-{name}")).unwrap();
        assert_eq!(VatConfig::from_value(document).unwrap(), preset, "{name}");
        assert_eq!(VatConfig::preset(name), Some(preset.clone()));
        assert_eq!(&preset.to_value(), document, "{name}");
    }
    assert!(VatConfig::preset("vat-paper-1000").is_none());
}

#[test]
fn configurations_that_do_not_fit_are_refused_by_key() {
    for (section, key, value) in [
        ("", "num_latents", json!(8)),
        ("", "model_type", json!("bat")),
        ("", "latent_dim", json!(0)),
        ("input", "num_freqs", json!(25)),
        ("encoder", "heads", json!(5)),
        ("encoder", "mlp_ratio", json!(0.0)),
        ("quantizer", "scales", json!([])),
        ("quantizer", "scales", json!([1, 10, 9])),
        ("quantizer", "scales", json!([0, 9])),
        ("quantizer", "resample", json!("grid2d")),
        ("quantizer", "codebook_size", json!(0)),
        ("quantizer", "beta", json!(-1.0)),
        ("decoder", "plane_tokens", json!(0)),
        ("triplane", "channels", json!([])),
        ("triplane", "norm_groups", json!(3)),
        ("triplane", "bounds", json!(0.0)),
        ("occupancy", "layers", json!(0)),
    ] {
        let error = config(&[(section, key, value.clone())]).unwrap_err().to_string();
        assert!(error.contains(key) || error.contains("quantizer.scales"), "{section}.{key} {value}: {error}");
    }
    assert!(config(&[("quantizer", "resample", json!("cubic"))]).is_err());
    let square = config(&[("quantizer", "resample", json!("grid2d")), ("quantizer", "scales", json!([1, 4, 9]))]);
    let model = vat::random(&square.unwrap(), 1, &Device::flex()).unwrap();
    assert_eq!(model.encode(&input(&[0.5])).unwrap().positions(), 14);
}

#[test]
fn a_saved_model_opens_again_and_only_with_its_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let (model, path) = (small(), folder.path().join("model.safetensors"));
    vat::save(model.network(), model.specs(), &path).unwrap();
    let spec = folder.path().to_string_lossy().into_owned();
    let open = || from_pretrained(&spec, &Device::flex());
    let error = open().map(drop).unwrap_err();
    assert!(error.to_string().contains("VAT"), "{error}");
    let described = folder.path().join("config.json");
    std::fs::write(&described, ModelConfig::Vat(model.config().clone()).to_value().to_string()).unwrap();
    let again = open().unwrap();
    assert_eq!(again.info(), model.info());
    let tokens = model.encode(&input(&[0.5])).unwrap();
    assert_eq!(again.encode(&input(&[0.5])).unwrap(), tokens);
    let decoded = again.decode(&tokens, &DecodeOptions::default()).unwrap().into_field().unwrap();
    let expected = field(&model, &tokens, &DecodeOptions::default());
    assert_eq!(decoded.evaluate(0, &PROBES).unwrap(), expected.evaluate(0, &PROBES).unwrap());

    let mut other = document();
    other["encoder"]["depth"] = json!(3);
    std::fs::write(&described, other.to_string()).unwrap();
    let error = open().map(drop).unwrap_err();
    let LoadError::Checkpoint(CheckpointError::Mismatch { differences, .. }) = error else { panic!("{error}") };
    assert_eq!(differences.missing, 12);
    assert!(Weights::open(&path).is_ok());
}

#[test]
fn convolutions_are_called_as_each_family_calls_them() {
    let names = |share: usize, quant_resi: f64, names: ScaleNames| -> Vec<String> {
        let document = json!({"scales": [1, 4], "codebook_size": 3, "resample": "grid2d",
            "share_quant_resi": share, "quant_resi": quant_resi});
        let config: ScaleQuantizerConfig = serde_json::from_value(document).unwrap();
        let source = ParamSource::listing();
        ScaleQuantizer::new(&source.root().at("quantize"), &config, [4, 2], names).unwrap();
        let weights = source.into_taken().into_iter().map(|spec| spec.name).filter(|name| !name.ends_with("bias"));
        weights.skip(1).collect()
    };
    let named = |of: &[&str]| of.iter().map(|name| format!("quantize.{name}.weight")).collect::<Vec<_>>();
    assert_eq!(names(0, 0.5, ScaleNames::Var), named(&["quant_resi.0", "quant_resi.1"]));
    assert_eq!(names(1, 0.5, ScaleNames::Var), named(&["quant_resi.qresi"]));
    assert_eq!(names(2, 0.5, ScaleNames::Var), named(&["quant_resi.qresi_ls.0", "quant_resi.qresi_ls.1"]));
    assert!(names(2, 0.0, ScaleNames::Var).is_empty());
    assert_eq!(names(1, 0.5, ScaleNames::Plain), named(&["phi.0"]));
    assert_eq!(names(0, 0.5, ScaleNames::Plain), named(&["phi.0", "phi.1"]));
}

/// The GPU and the bytes of its largest buffer; `None` without one. With `TESSERA_REQUIRE_GPU=1` that is a failure.
fn gpu() -> Option<(Device, u64)> {
    match DeviceChoice::Gpu(0).open() {
        Ok(device) => largest_buffer(&device).map(|most| (device, most)),
        Err(error) if std::env::var("TESSERA_REQUIRE_GPU").is_ok_and(|value| value == "1") => panic!("{error}"),
        Err(error) => {
            eprintln!("SKIPPED: {error}");
            None
        }
    }
}

#[test]
fn scores_larger_than_a_buffer_of_the_gpu_make_the_same_shape() {
    let Some((device, most)) = gpu() else { return };
    // 3009 positions of the encoder's 12 heads and 1737 of the decoder's 16: 434 and 193 MB of scores.
    let config = config(&[
        ("encoder", "heads", json!(12)),
        ("decoder", "heads", json!(16)),
        ("decoder", "plane_tokens", json!(24)),
    ])
    .unwrap();
    let run = |device: &Device| {
        let model = vat::random(&config, 7, device).unwrap();
        let (points, normals) = spheres(&[0.7], 3000, device);
        let tokens = model.encode(&Input::Points { points, normals: Some(normals) }).unwrap();
        let field = field(&model, &tokens, &DecodeOptions::default());
        (tokens.ids().to_vec(), field.grid(0, 17).unwrap())
    };
    let (cpu, gpu) = (run(&Device::flex()), run(&device));
    assert_eq!(cpu.0, gpu.0, "tokens (largest buffer {most} bytes)");
    assert_close(&gpu.1, &cpu.1, 1e-4, "logits");
}

#[test]
fn planes_that_a_gpu_cannot_hold_are_an_error_of_one_line() {
    let Some((device, most)) = gpu().filter(|(_, most)| *most < 1 << 29) else { return };
    let side = 1024;
    let channels = usize::try_from(most).unwrap() / (4 * 3 * side * side) + 1;
    let source = ParamSource::seeded(1, &device);
    let sizes = vat::OccupancyConfig { hidden: 4, layers: 2 };
    let occupancy = vat::Occupancy::new(&source.root(), &sizes, channels, 1.0).unwrap();
    let field = OccupancyField::new(Tensor::zeros([1, 3, channels, side, side], &device), occupancy);
    let error = field.evaluate(0, &[[0.0; 3]]).unwrap_err();
    let said = error.to_string();
    assert!(matches!(error, TokenizerError::Device(_)) && said.lines().count() == 1, "{said}");
    assert!(said.contains("buffer of size") && !said.contains("Caused by"), "{said}");
}
