//! How VAT learns, and how tokens of a shape are searched for.

#[path = "common/small_vat.rs"]
mod small_vat;

use std::path::Path;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use small_vat::{config, floats, spheres};
use tessera_layers::checkpoint::{Weights, read_config};
use tessera_tokenizers::quantizers::{CodeCounts, move_codes};
use tessera_tokenizers::vat::{self, LossConfig, RefineOptions, Supervision, VatConfig, VatNetwork, VatStage, losses};
use tessera_tokenizers::{DecodeOptions, Input, Tokenizer as _, TokenizerError, Tokens};

fn trained(device: &Device) -> (VatNetwork, Vec<tessera_layers::ParamSpec>) {
    vat::random(&config(&[]).unwrap(), 3, device).unwrap().into_network()
}

/// Spheres with queries all over the box and near the surface.
fn batch(device: &Device) -> (Tensor<3>, Tensor<3>, Tensor<3>, Supervision) {
    let radii = [0.35, 0.6, 0.85];
    let (points, normals) = spheres(&radii, 40, device);
    let mut queries = Vec::new();
    let mut labels = Vec::new();
    for radius in radii {
        for at in 0..48 {
            let spread = [0.731, 0.417, 0.883].map(|step: f32| (at as f32 * step).fract() * 2.0 - 1.0);
            let length = spread.map(|x| x * x).iter().sum::<f32>().sqrt().max(1e-3);
            // Behind the first 32, points at most a tenth off the surface.
            let reach = if at < 32 { length } else { radius * (1.0 + 0.1 * (at as f32 * 0.61).sin()) };
            queries.extend(spread.map(|x| x / length * reach));
            labels.push(f32::from(u8::from(reach < radius)));
        }
    }
    let noise = (0..3 * 9 * 4).map(|at| (at as f32 * 1.7).sin()).collect::<Vec<f32>>();
    let noise = Tensor::from_data(TensorData::new(noise, [3, 9, 4]), device);
    let points_of = Tensor::from_data(TensorData::new(queries, [3, 48, 3]), device);
    let labels = Tensor::from_data(TensorData::new(labels, [3, 48]), device);
    (points, normals, noise, Supervision { points: points_of, labels, volume: 32 })
}

/// A step against the gradient, as long in every parameter.
struct Descent<'a> {
    gradients: &'a Gradients,
    rate: f64,
}

impl ModuleMapper for Descent<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor) = (param.id, param.val());
        let Some(gradient) = tensor.grad(self.gradients) else { return param };
        let size = gradient.clone().square().mean().sqrt().add_scalar(1e-12).into_data().iter::<f64>().next().unwrap();
        let moved = tensor.inner() - gradient.mul_scalar(self.rate / size);
        Param::initialized(id, moved.autodiff().require_grad())
    }
}

#[test]
fn both_stages_learn_and_unused_codes_move() {
    let device = Device::flex().autodiff();
    let (mut network, _) = trained(&device);
    let (points, normals, noise, queries) = batch(&device);
    let weights = LossConfig::default();
    let run = |network: &VatNetwork, stage| {
        losses(network, points.clone(), Some(normals.clone()), noise.clone(), &queries, stage, &weights)
    };
    let first = run(&network, VatStage::Continuous);
    assert!(first.vq.is_none() && first.indices.is_none());
    let number = |tensor: &Tensor<1>| tensor.clone().into_data().iter::<f64>().next().unwrap();
    let sum = number(&first.bce_volume) + 0.1 * number(&first.bce_near) + 1e-4 * number(&first.kl);
    assert!((number(&first.total) - sum).abs() < 1e-5);
    for _ in 0..40 {
        let gradients = run(&network, VatStage::Continuous).total.backward();
        network = network.map(&mut Descent { gradients: &gradients, rate: 2e-3 });
    }
    let last = run(&network, VatStage::Continuous);
    let (before, after) = (number(&first.bce_volume), number(&last.bce_volume));
    assert!(after < 0.8 * before, "{before} to {after}");

    // The second stage starts from what the encoder makes.
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let all: Vec<usize> = (0..20).collect();
    move_codes(network.quantizer_mut().codes_mut(), &all, last.candidates, &mut rng);
    let mut uses = CodeCounts::new(20);
    let first = run(&network, VatStage::Quantized);
    for step in 0..30 {
        let losses = run(&network, VatStage::Quantized);
        uses.add(&losses.indices.unwrap());
        let gradients = losses.total.backward();
        network = network.map(&mut Descent { gradients: &gradients, rate: 2e-3 });
        if step % 10 == 9 {
            let unused = uses.dead();
            let before = floats(network.quantizer().codes().codebook());
            move_codes(network.quantizer_mut().codes_mut(), &unused, losses.candidates.clone(), &mut rng);
            uses.clear();
            let (after, seen) = (floats(network.quantizer().codes().codebook()), floats(losses.candidates));
            for code in 0..20 {
                let [old, new] = [&before, &after].map(|codes| &codes[code * 4..][..4]);
                assert_eq!(old != new, unused.contains(&code), "code {code}");
                assert!(old == new || seen.chunks(4).any(|row| row == new), "code {code}");
            }
        }
    }
    let last = run(&network, VatStage::Quantized);
    assert!(number(&last.total) < 0.9 * number(&first.total), "{} to {}", number(&first.total), number(&last.total));
    let vq = number(last.vq.as_ref().unwrap());
    assert!(vq > 0.0 && vq.is_finite());
}

#[test]
fn refined_tokens_decode_nearer_to_the_truth_each_item_for_itself() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/vat-tiny");
    let config = VatConfig::from_value(&read_config(&folder.join("config.json")).unwrap()).unwrap();
    let weights = Weights::open(&folder.join("model.safetensors")).unwrap();
    let model = vat::load(&config, &weights, &Device::flex()).unwrap();
    let radii = [0.4, 0.55, 0.9];
    let (points, normals) = spheres(&radii, 512, &Device::flex());
    // Places all over the box, then near the surface.
    let mut places = Vec::new();
    for (item, radius) in (0..3).zip(radii) {
        for at in 0..384_u32 {
            let spread = [0.731, 0.417, 0.883].map(|step: f32| ((at + 31 * item) as f32 * step).fract() * 2.0 - 1.0);
            let length = spread.map(|x| x * x).iter().sum::<f32>().sqrt().max(1e-3);
            let reach = if at < 192 { length } else { radius * (1.0 + 0.1 * (at as f32 * 0.61).sin()) };
            places.extend(spread.map(|x| x / length * reach));
        }
    }
    let lengths = places.chunks(3).map(|place| place.iter().map(|x| x * x).sum::<f32>().sqrt());
    let labels: Vec<f32> =
        lengths.enumerate().map(|(at, length)| f32::from(u8::from(length < radii[at / 384]))).collect();
    let truth = Supervision {
        points: Tensor::from_data(TensorData::new(places, [3, 384, 3]), &Device::flex()),
        labels: Tensor::from_data(TensorData::new(labels, [3, 384]), &Device::flex()),
        volume: 192,
    };

    let input = Input::Points { points: points.clone(), normals: Some(normals.clone()) };
    let options = RefineOptions { steps: 12, ..RefineOptions::default() };
    let errors = |tokens: &Tokens| -> Vec<f32> {
        let field = model.decode(tokens, &DecodeOptions::default()).unwrap().into_field().unwrap();
        let error = |item: usize| {
            let logits = field.logits(item, truth.points.clone().narrow(0, item, 1).squeeze_dim(0)).unwrap();
            let labels = truth.labels.clone().narrow(0, item, 1);
            floats(vat::binary_cross_entropy(logits.unsqueeze(), labels))[0]
        };
        (0..3).map(error).collect()
    };
    let plain = model.encode(&input).unwrap();
    let refined = model.refine(&input, &truth, &options).unwrap();
    assert_eq!((refined.positions(), refined.vocab()), (plain.positions(), plain.vocab()));
    let (before, after) = (errors(&plain), errors(&refined));
    assert!(after.iter().zip(&before).all(|(after, before)| *after < 1.05 * before), "{before:?} to {after:?}");
    assert!(after.iter().sum::<f32>() < 0.85 * before.iter().sum::<f32>(), "{before:?} to {after:?}");
    // The same draws, the same tokens; no step, the encoder's.
    assert_eq!(refined, model.refine(&input, &truth, &options).unwrap());
    assert_eq!(plain, model.refine(&input, &truth, &RefineOptions { steps: 0, ..options.clone() }).unwrap());
    // What else is in the batch says nothing.
    let one = |tensor: &Tensor<3>| tensor.clone().narrow(0, 1, 1);
    let alone = Input::Points { points: one(&points), normals: Some(one(&normals)) };
    let of_one =
        Supervision { points: one(&truth.points), labels: truth.labels.clone().narrow(0, 1, 1), volume: truth.volume };
    let alone = model.refine(&alone, &of_one, &options).unwrap();
    let differ = alone.ids().iter().zip(&refined.ids()[511..]).filter(|(a, b)| a != b).count();
    assert!(differ <= 5, "{differ} of 511 tokens differ");

    for truth in [of_one.clone(), Supervision { volume: 385, ..truth.clone() }] {
        assert!(matches!(model.refine(&input, &truth, &options), Err(TokenizerError::Input { what: "places", .. })));
    }
}

#[test]
fn every_parameter_but_the_unused_codes_has_a_gradient() {
    let device = Device::flex().autodiff();
    let (network, specs) = trained(&device);
    let (points, normals, noise, queries) = batch(&device);
    let stage = VatStage::Quantized;
    let losses = losses(&network, points, Some(normals), noise, &queries, stage, &LossConfig::default());
    let gradients = losses.total.backward();
    struct Count<'a>(&'a Gradients, usize);
    impl burn::module::ModuleVisitor for Count<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.1 += usize::from(param.val().grad(self.0).is_some());
        }
    }
    let mut count = Count(&gradients, 0);
    network.visit(&mut count);
    assert_eq!(count.1, specs.len());
}
