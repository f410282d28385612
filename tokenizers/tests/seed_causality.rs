//! SEED's causality: what comes later never changes what came before, for any sizes; without the mask it does.

use burn::tensor::{Device, Tensor, TensorData};
use proptest::prelude::*;
use tessera_layers::{Init, ParamSource, Trace};
use tessera_tokenizers::seed::{
    EncoderConfig, Qformer, QformerConfig, SeedConfig, SeedKind, SeedNetwork, VitConfig, padding_weights,
};

#[derive(Debug, Clone)]
struct Sizes {
    queries: usize,
    heads: usize,
    head_width: usize,
    layers: usize,
    period: usize,
    seed: u64,
}

fn sizes() -> impl Strategy<Value = Sizes> {
    (2..40_usize, 1..4_usize, 3..6_usize, 1..4_usize, 1..4_usize, any::<u64>()).prop_map(
        |(queries, heads, head_width, layers, period, seed)| Sizes { queries, heads, head_width, layers, period, seed },
    )
}

/// Starts at which everything depends on everything it may depend on: no signal fades, no softmax is sure of itself.
fn strong(_: &str, shape: &[usize], init: Init) -> Init {
    let inputs: usize = shape.iter().skip(1).product();
    if shape.len() > 1 { Init::Normal(1.0 / (inputs as f32).sqrt()) } else { init }
}

fn network(sizes: &Sizes) -> SeedNetwork {
    let width = 2 * sizes.heads * sizes.head_width;
    let vit = VitConfig {
        img_size: 8,
        patch_size: 4,
        embed_dim: 6,
        depth: 1,
        num_heads: 2,
        mlp_ratio: 1.0,
        ..Default::default()
    };
    let qformer = QformerConfig {
        hidden_size: width,
        num_hidden_layers: sizes.layers,
        num_attention_heads: sizes.heads,
        intermediate_size: 9,
        encoder_width: 6,
        cross_attention_freq: sizes.period,
        ..Default::default()
    };
    let config = SeedConfig {
        encoder: EncoderConfig { vit, qformer, num_query_token: sizes.queries, ..Default::default() },
        codebook_embed_dim: 4,
        n_embed: 300,
        decode_depth: 1,
        decode_num_heads: 1,
        image_down_dims: vec![2],
        image_features_dim: 3,
        ..SeedConfig::released(SeedKind::Seed2)
    };
    config.check().unwrap();
    let device = Device::flex();
    let source = ParamSource::seeded_with(sizes.seed, &device, &strong);
    SeedNetwork::new(&source.root(), &config, 5).unwrap()
}

fn noise<const D: usize>(shape: [usize; D], seed: u64, name: &str) -> Tensor<D> {
    let values = Init::Normal(1.0).values(shape.iter().product(), seed, name);
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

struct Seen {
    rows: Vec<Vec<f32>>,
    tokens: Vec<i64>,
}

/// Embeddings, row by row, and tokens of queries before one picture.
fn look(network: &SeedNetwork, queries: Tensor<3>, vision: &Tensor<3>, causal: bool) -> Seen {
    let embeddings = network.encoder().look(queries, vision.clone(), causal, &mut Trace::none());
    let [_, _, width] = embeddings.dims();
    let tokens = network.codec().quantizer().indices(network.codec().latents(embeddings.clone()));
    let values: Vec<f32> = embeddings.into_data().iter().collect();
    Seen { rows: values.chunks(width).map(<[f32]>::to_vec).collect(), tokens: tokens.into_data().iter().collect() }
}

fn vision(network: &SeedNetwork, seed: u64) -> Tensor<3> {
    let seen = network.encoder().vision(noise([1, 3, 8, 8], seed, "picture"), &mut Trace::none());
    network.encoder().normalised(seen, &mut Trace::none())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_query_changes_itself_and_what_comes_later_alone(sizes in sizes(), place in any::<prop::sample::Index>()) {
        let network = network(&sizes);
        let (at, vision) = (1 + place.index(sizes.queries - 1), vision(&network, sizes.seed));
        let queries = network.encoder().query_tokens();
        let [_, count, width] = queries.dims();
        // One query alone is changed.
        let zeros = |rows: usize| Tensor::<3>::zeros([1, rows, width], &Device::flex());
        let change = Tensor::cat(vec![zeros(at), noise([1, 1, width], sizes.seed, "change"), zeros(count - at - 1)], 1);
        let changed = queries.clone() + change;

        let before = look(&network, queries.clone(), &vision, true);
        let after = look(&network, changed.clone(), &vision, true);
        prop_assert_eq!(&before.rows[..at], &after.rows[..at]);
        prop_assert_eq!(&before.tokens[..at], &after.tokens[..at]);
        prop_assert_ne!(&before.rows[at], &after.rows[at]);

        // The control: the same weights without the mask.
        let before = look(&network, queries, &vision, false);
        let after = look(&network, changed, &vision, false);
        prop_assert_ne!(&before.rows[0], &after.rows[0]);
    }

    #[test]
    fn the_first_queries_alone_give_the_first_rows(sizes in sizes(), place in any::<prop::sample::Index>()) {
        let network = network(&sizes);
        let (keep, vision) = (1 + place.index(sizes.queries), vision(&network, sizes.seed));
        let queries = network.encoder().query_tokens();
        let [_, count, width] = queries.dims();
        let first = queries.clone().slice([0..1, 0..keep, 0..width]);
        let all = look(&network, queries.clone(), &vision, true);
        let prefix = look(&network, first.clone(), &vision, true);
        let error = all.rows.iter().zip(&prefix.rows).flat_map(|(a, b)| a.iter().zip(b)).map(|(a, b)| (a - b).abs());
        prop_assert!(error.fold(0.0, f32::max) < 1e-5);
        if keep < count {
            let open = look(&network, queries, &vision, false);
            let prefix = look(&network, first, &vision, false);
            prop_assert_ne!(&open.rows[0], &prefix.rows[0]);
        }
    }
}

fn text_qformer(layers: usize) -> Qformer {
    let config = QformerConfig {
        vocab_size: 30,
        hidden_size: 12,
        num_hidden_layers: layers,
        num_attention_heads: 3,
        intermediate_size: 10,
        max_position_embeddings: 8,
        encoder_width: 6,
        ..Default::default()
    };
    let device = Device::flex();
    let source = ParamSource::seeded_with(4, &device, &strong);
    Qformer::new(&source.root(), &config, true).unwrap()
}

fn numbers(tensor: Tensor<3>) -> Vec<f32> {
    tensor.into_data().iter().collect()
}

#[test]
fn queries_beside_text_see_it_and_one_another_causally() {
    let device = Device::flex();
    let qformer = text_qformer(1);
    let (queries, pictures) = (noise([2, 5, 12], 1, "queries"), noise([2, 4, 6], 1, "pictures"));
    let ids = |word: i32| Tensor::from_data(TensorData::new(vec![3, 1, word, 3, 2, 2], [2, 3]), &device);
    let padding = |stands: [bool; 6]| padding_weights(&stands, [2, 3], &device);
    let joint = |queries: &Tensor<3>, word: i32, stands: [bool; 6], causal: bool| {
        qformer.joint(queries.clone(), pictures.clone(), ids(word), padding(stands), causal).unwrap()
    };
    let plain = joint(&queries, 7, [true; 6], true);
    assert_eq!((plain.queries.dims(), plain.text.dims()), ([2, 5, 12], [2, 3, 12]));

    // Another last query: queries before it stay (one layer, so nothing comes back through the text), the text does not.
    let change = Tensor::cat(vec![Tensor::zeros([2, 4, 12], &device), noise([2, 1, 12], 9, "change")], 1);
    let changed = joint(&(queries.clone() + change.clone()), 7, [true; 6], true);
    let first = |queries: Tensor<3>| numbers(queries.slice([0..2, 0..4]));
    assert_eq!(first(plain.queries.clone()), first(changed.queries));
    assert_ne!(numbers(plain.text.clone()), numbers(changed.text));
    let open = joint(&queries, 7, [true; 6], false);
    let open_changed = joint(&(queries.clone() + change), 7, [true; 6], false);
    assert_ne!(first(open.queries), first(open_changed.queries));

    // Another word changes every query of its item, and none of the other's.
    let reworded = joint(&queries, 8, [true; 6], true);
    let item = |queries: Tensor<3>, item: usize| numbers(queries.slice([item..item + 1]));
    assert_ne!(item(plain.queries.clone(), 0), item(reworded.queries.clone(), 0));
    assert_eq!(item(plain.queries.clone(), 1), item(reworded.queries, 1));

    // A word that is padding is not seen, and without any word queries are as they are alone.
    let padded = |word| joint(&queries, word, [true, true, false, true, true, true], true);
    assert_eq!(numbers(padded(7).queries), numbers(padded(8).queries));
    let alone = numbers(qformer.queries(queries.clone(), pictures.clone(), true, &mut Trace::none()));
    let none = numbers(joint(&queries, 7, [false; 6], true).queries);
    assert!(alone.iter().zip(&none).all(|(a, b)| (a - b).abs() < 1e-5));
}

#[test]
fn text_sees_both_ways_and_no_padding() {
    let (device, qformer) = (Device::flex(), text_qformer(2));
    let text = |words: [i32; 4], stands: [bool; 4]| {
        let ids = Tensor::from_data(TensorData::new(words.to_vec(), [1, 4]), &device);
        numbers(qformer.text(ids, padding_weights(&stands, [1, 4], &device)).unwrap())
    };
    let plain = text([1, 2, 3, 4], [true; 4]);
    let later = text([1, 2, 3, 5], [true; 4]);
    assert_ne!(plain[..12], later[..12], "the first word sees the last");
    let cut = [true, true, true, false];
    assert_eq!(text([1, 2, 3, 4], cut)[..36], text([1, 2, 3, 5], cut)[..36]);
    let device = Device::flex();
    let source = ParamSource::seeded(0, &device);
    let without =
        Qformer::new(&source.root(), &QformerConfig { hidden_size: 12, ..Default::default() }, false).unwrap();
    assert_eq!((without.longest_text(), without.vocabulary()), (None, None));
}
