//! xAR beyond its recorded cases.

use std::ops::ControlFlow;

use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use tessera_generators::xar::{
    Listener, SeededNoise, Solver, Xar, XarConfig, XarPlan, XarPrompt, draw, loss, random, sample,
};
use tessera_generators::{
    Condition, GenerateOptions, Generated, Generator as _, GeneratorError, Given, GuidanceSchedule,
};
use tessera_layers::Trace;
use tessera_tokenizers::{ConfigError, Latents};

fn config(change: Value) -> Result<XarConfig, ConfigError> {
    let mut document = json!({
        "vae_embed_dim": 3, "encoder_embed_dim": 16, "encoder_depth": 1, "encoder_num_heads": 2, "decoder_embed_dim": 16,
        "decoder_depth": 1, "decoder_num_heads": 1, "class_num": 4, "grid": [4, 6], "cell": [2, 3], "num_steps": 3, "cfg": 2.0,
    });
    for (key, value) in change.as_object().unwrap() {
        document[key] = value.clone();
    }
    XarConfig::from_value(&document)
}

fn generator(change: Value) -> Xar {
    random(&config(change).unwrap(), 5, &Device::flex()).unwrap()
}

/// Every sort of entity, with how many there are.
fn entities() -> [(Value, usize); 5] {
    [
        (json!({"entity": "patch"}), 24),
        (json!({"entity": "cell"}), 4),
        (json!({"entity": "subsample", "subsample_distance": 2}), 6),
        (json!({"entity": "scale", "scales": [1, [2, 3], [4, 6]]}), 3),
        (json!({"entity": "image", "words": ["a", "b"]}), 1),
    ]
}

fn largest(x: Tensor<3>) -> f32 {
    x.abs().max().into_data().iter().next().unwrap()
}

#[test]
fn a_cached_velocity_is_that_of_a_whole_pass_over_clean_entities() {
    for (change, count) in entities() {
        let generator = generator(change.clone());
        let network = generator.network();
        let prompts = match generator.info().words {
            Some(_) => vec![XarPrompt::Words(vec![1]), XarPrompt::Words(Vec::new())],
            None => vec![XarPrompt::Class(Some(3)), XarPrompt::Class(None)],
        };
        let plan = XarPlan { steps: 2, scale: 1.0, schedule: GuidanceSchedule::Linear, solver: Solver::Ode };
        let mut seen = Vec::new();
        let mut listener = Listener {
            on_step: &mut |step| seen.push((step.entity, step.step, step.state.clone(), step.velocity.clone())),
            on_entity: &mut |_, _| ControlFlow::Continue(()),
        };
        let mut noise = SeededNoise::new(1, 2, &Device::flex());
        let found = sample(network, &prompts, &plan, (None, &[]), false, &mut noise, &mut listener).unwrap();
        let ranges = network.entities().ranges().to_vec();
        assert_eq!(ranges.len(), count);
        for (entity, step, state, velocity) in seen.into_iter().filter(|(_, step, ..)| *step == 0) {
            let range = &ranges[entity];
            // Earlier entities clean, this one as it was, later ones anything.
            let mut parts = vec![state];
            if range.start > 0 {
                parts.insert(0, found.clone().narrow(1, 0, range.start));
            }
            let rest = found.dims()[1] - range.end;
            if rest > 0 {
                parts.push(Tensor::zeros([2, rest, 3], &Device::flex()));
            }
            let times: Vec<u32> = (0..count).map(|other| if other == entity { 1000 } else { 0 }).collect();
            let conditions = network.time_vectors(&times).unsqueeze_dim::<3>(0)
                + network.prompt_vectors(&prompts).unsqueeze_dim::<3>(1);
            let whole = network.whole(Tensor::cat(parts, 1), conditions, &mut Trace::none());
            let difference = largest(whole.narrow(1, range.start, range.len()) - velocity);
            assert!(difference < 1e-4, "{change}, entity {entity}, step {step}: {difference}");
        }
    }
}

#[test]
fn every_entity_learns_and_generates() {
    for (change, count) in entities() {
        let generator = generator(change.clone());
        let latents = Tensor::<3>::ones([2, 24, 3], &Device::flex());
        let prompts = vec![XarPrompt::Class(Some(0)); 2];
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let draws = draw(generator.network(), 2, 3, &mut rng);
        let loss = loss(generator.network(), latents, &prompts, &draws, &mut Trace::none());
        assert_eq!(loss.by_entity.dims(), [count], "{change}");
        assert!(loss.loss.into_data().iter::<f32>().all(f32::is_finite), "{change}");
        let mut steps = 0;
        let made = generator.generate(&Condition::Unconditional(2), &GenerateOptions::default(), &mut |step| {
            let so_far = step.latents().unwrap();
            assert_eq!((so_far.dims(), step.of), ([2, 24, 3], count), "{change}");
            steps += 1;
            ControlFlow::Continue(())
        });
        let Generated::Latents(latents) = made.unwrap() else { panic!("{change} made tokens") };
        assert_eq!((latents.vectors.dims(), steps), ([2, 24, 3], count), "{change}");
    }
}

#[test]
fn an_item_is_the_same_in_any_batch_and_whole_entities_stay() {
    let generator = generator(json!({}));
    let made = |classes: Vec<u32>, change: &dyn Fn(&mut GenerateOptions)| {
        let mut options = GenerateOptions::default();
        change(&mut options);
        let made = generator.generate(&Condition::Classes(classes), &options, &mut |_| ControlFlow::Continue(()));
        made.map(|made| match made {
            Generated::Latents(latents) => latents,
            _ => panic!("not latents"),
        })
    };
    let (one, two) = (made(vec![2], &|_| {}).unwrap().vectors, made(vec![2, 1], &|_| {}).unwrap().vectors);
    assert!(largest(two.narrow(0, 0, 1) - one.clone()) < 1e-5);

    let values: Vec<f32> = (0..72).map(|at| at as f32 * 0.1).collect();
    let vectors = Tensor::<3>::from_data(TensorData::new(values, [1, 24, 3]), &Device::flex());
    let given = |kept: Vec<bool>| {
        let latents = Latents { vectors: vectors.clone(), layout: generator.info().layout.clone() };
        move |options: &mut GenerateOptions| options.given = Some(Given::Latents(latents.clone(), kept.clone()))
    };
    // The upper half: two of the four cells.
    let kept: Vec<bool> = (0..24).map(|at| at < 12).collect();
    let completed = made(vec![2], &given(kept)).unwrap().vectors;
    assert!(largest(completed.clone().narrow(1, 0, 12) - vectors.clone().narrow(1, 0, 12)) < 1e-6);
    assert!(largest(completed - vectors.clone()) > 1e-3);
    let wrong = made(vec![2], &given((0..24).map(|at| at < 3).collect()));
    assert!(matches!(wrong, Err(GeneratorError::Unfit(_))), "no cell as a whole");
}

#[test]
fn what_does_not_fit_is_refused() {
    let generator = generator(json!({}));
    let ask = |condition: &Condition, change: &dyn Fn(&mut GenerateOptions)| {
        let mut options = GenerateOptions::default();
        change(&mut options);
        generator.generate(condition, &options, &mut |_| ControlFlow::Continue(()))
    };
    let wrong = ask(&Condition::Classes(vec![4]), &|_| {});
    assert!(matches!(wrong, Err(GeneratorError::UnknownClass { class: 4, classes: 4 })));
    let wrong = ask(&Condition::Captions(vec!["a".to_owned()]), &|_| {});
    assert!(matches!(wrong, Err(GeneratorError::UnfitCondition { .. })));
    let wrong = ask(&Condition::Unconditional(1), &|options| options.steps = Some(1));
    assert!(matches!(wrong, Err(GeneratorError::InvalidOption { option: "steps", .. })));
    for (key, change) in [
        ("cell", json!({"cell": [3, 3]})),
        ("entity", json!({"entity": "row"})),
        ("scales", json!({"entity": "scale", "scales": [2]})),
        ("subsample_distance", json!({"entity": "subsample"})),
        ("decoder_embed_dim", json!({"decoder_embed_dim": 8})),
        ("encoder_num_heads", json!({"encoder_num_heads": 3})),
        ("num_steps", json!({"num_steps": 1})),
    ] {
        let error = config(change.clone()).unwrap_err().to_string();
        assert!(error.contains(key), "{change}: {error}");
    }
}
