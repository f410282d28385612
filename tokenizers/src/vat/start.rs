//! How a training starts: every latent looks at a place of its own.
//!
//! A transformer that starts from chance attends to all points alike, and spends its first thousands of steps on finding out that a
//! latent had better look at one spot. So each latent gets an anchor in the cube: its token starts with the Fourier features of the
//! anchor where those of the points stand, and the queries and keys of the first block read the slow ones of these features,
//! so that attention is a bump around the anchor. The decoder's latents and plane tokens start alike; a plane token knows two
//! coordinates and looks along the third.
//!
//! Anchors follow each other as the halves of halved boxes do, so that neighbours in the line are neighbours in the cube, and what a
//! coarse scale averages is what lies together.

use tessera_layers::Init;

use super::{PointsConfig, VatConfig};

/// Frequencies that make a bump about as wide as the cube (of side 2) down to a quarter of it, in radians per unit.
const SLOW: std::ops::RangeInclusive<f32> = 2.5..=13.0;

/// What a feature pair of one coordinate and frequency adds to the logit of a place at no distance, of the first head. Those that
/// follow see farther: each has half as much as the one before.
const BUMP: f32 = 3.0;

/// Deviation over the channels of a point's token, roughly; layer normalisation divides by it.
const TOKEN_DEVIATION: f32 = 0.5;

/// The start of a network of this configuration.
pub(super) struct Start<'a> {
    config: &'a VatConfig,
    anchors: Vec<[f32; 3]>,
}

impl<'a> Start<'a> {
    pub(super) fn new(config: &'a VatConfig) -> Self {
        let mut anchors = Vec::with_capacity(config.num_latents);
        halve([[-1.0, 1.0]; 3], config.num_latents, &mut anchors);
        Self { config, anchors }
    }

    /// Matrices of blocks start uniform in one over the root of their inputs: narrow networks, too, then start with signals of some
    /// size.
    pub(super) fn distribution(name: &str, shape: &[usize], init: Init) -> Init {
        match shape {
            [_, inputs] if name.contains(".blocks.") => Init::uniform_fan_in(*inputs),
            _ => init,
        }
    }

    /// Puts anchors, and what reads them, into the values drawn for a parameter.
    pub(super) fn edit(&self, name: &str, shape: &[usize], values: &mut [f32]) {
        let [rows, width] = *shape else { return };
        let config = self.config;
        let input = &config.input;
        let places = |row: usize| self.anchors.get(row).copied().map(|place| features(place.map(Some), input));
        match name {
            // A token's first channels are its features.
            "encoder.point_proj.weight" => {
                for (row, values) in values.chunks_exact_mut(width.max(1)).enumerate().take(rows.min(width)) {
                    values.fill(0.0);
                    if let Some(value) = values.get_mut(row) {
                        *value = 1.0;
                    }
                }
            }
            "encoder.latents" | "decoder.latent_pos" => put(values, width, places),
            "decoder.plane_tokens" => {
                let side = config.decoder.plane_tokens;
                put(values, width, |token| plane_place(token, side).map(|place| features(place, input)));
            }
            "encoder.blocks.0.attn.qkv.weight" => self.look(values, width, config.encoder.heads),
            "decoder.blocks.0.attn.qkv.weight" => self.look(values, width, config.decoder.heads),
            _ => {}
        }
    }

    /// Queries and keys of a packed projection `[3 width, width]` that read the slow features, as many as a head has room for.
    fn look(&self, values: &mut [f32], width: usize, heads: usize) {
        let head = width / heads.max(1);
        let slow: Vec<usize> =
            slow_channels(&self.config.input).into_iter().filter(|&channel| channel < width).collect();
        for index in 0..heads {
            let bump = BUMP / f32::from(u8::try_from(index.min(3)).unwrap_or(3)).exp2();
            // Layer normalisation multiplies both sides by the inverse of a token's deviation; attention divides by the root of the head.
            let gain = (bump * (head as f32).sqrt()).sqrt() * TOKEN_DEVIATION;
            for (dim, &channel) in slow.iter().enumerate().take(head) {
                for row in [index * head + dim, width + index * head + dim] {
                    let Some(values) = values.get_mut(row * width..(row + 1) * width) else { continue };
                    values.fill(0.0);
                    if let Some(value) = values.get_mut(channel) {
                        *value = gain;
                    }
                }
            }
        }
    }
}

/// Overwrites the first values of each row with what there is for it.
fn put(values: &mut [f32], width: usize, of: impl Fn(usize) -> Option<Vec<f32>>) {
    for (row, values) in values.chunks_exact_mut(width.max(1)).enumerate() {
        for (value, feature) in values.iter_mut().zip(of(row).unwrap_or_default()) {
            *value = feature;
        }
    }
}

/// Centres of `count` boxes that come of halving `sides` across the longest, again and again, in the order of the halves.
fn halve(sides: [[f32; 2]; 3], count: usize, anchors: &mut Vec<[f32; 3]>) {
    if count < 2 {
        let centre = sides.map(|[low, high]| f32::midpoint(low, high));
        return anchors.extend((count == 1).then_some(centre));
    }
    let length = |[low, high]: [f32; 2]| high - low;
    let longest =
        (1..3).fold(0, |best, axis| if length(sides[axis]) > length(sides[best]) + 1e-4 { axis } else { best });
    let (first, [low, high]) = (count / 2, sides[longest]);
    let cut = low + (high - low) * first as f32 / count as f32;
    let (mut below, mut above) = (sides, sides);
    (below[longest], above[longest]) = ([low, cut], [cut, high]);
    halve(below, first, anchors);
    halve(above, count - first, anchors);
}

/// What plane token `token` knows of its place: of planes xy, xz, yz, the first coordinate along columns, the second along rows.
fn plane_place(token: usize, side: usize) -> Option<[Option<f32>; 3]> {
    let (plane, cell) = (token / (side * side).max(1), token % (side * side).max(1));
    let centre = |index: usize| Some((2 * index + 1) as f32 / side as f32 - 1.0);
    let (along, up) = (centre(cell % side.max(1)), centre(cell / side.max(1)));
    match plane {
        0 => Some([along, up, None]),
        1 => Some([along, None, up]),
        2 => Some([None, along, up]),
        _ => None,
    }
}

fn frequencies(input: &PointsConfig) -> impl Iterator<Item = f32> {
    let base = if input.include_pi { std::f32::consts::PI } else { 1.0 };
    (0..input.num_freqs).scan(base, |at, _| Some(std::mem::replace(at, *at * 2.0)))
}

/// The features of a place as [`point_features`](super::point_features) arranges them, without a normal; 0 for what is not known.
fn features(place: [Option<f32>; 3], input: &PointsConfig) -> Vec<f32> {
    let angles =
        || place.into_iter().flat_map(|at| frequencies(input).map(move |frequency| at.map(|at| at * frequency)));
    let of = |function: fn(f32) -> f32| angles().map(move |angle| angle.map_or(0.0, function));
    place.into_iter().map(Option::unwrap_or_default).chain(of(f32::sin)).chain(of(f32::cos)).collect()
}

/// Channels of the features that turn slowly: sines and cosines side by side, the slowest of all coordinates first.
fn slow_channels(input: &PointsConfig) -> Vec<usize> {
    let count = input.num_freqs;
    let slow = frequencies(input).enumerate().filter(|(_, frequency)| SLOW.contains(frequency)).map(|(index, _)| index);
    let of = |index: usize| (0..3).flat_map(move |axis| [0, 1].map(|half| 3 + (3 * half + axis) * count + index));
    slow.flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData};

    use super::super::point_features;
    use super::*;

    #[test]
    fn anchors_are_spread_and_stand_in_the_order_of_halves() {
        let mut anchors = Vec::new();
        halve([[-1.0, 1.0]; 3], 8, &mut anchors);
        assert_eq!(anchors.len(), 8);
        assert_eq!((anchors[0], anchors[1]), ([-0.5, -0.5, -0.5], [-0.5, -0.5, 0.5]));
        for (index, anchor) in anchors.iter().enumerate() {
            let corner = [index & 4, index & 2, index & 1].map(|bit| if bit == 0 { -0.5 } else { 0.5 });
            assert_eq!(*anchor, corner);
        }
        for count in [1, 3, 5, 37, 256] {
            let mut anchors = Vec::new();
            halve([[-1.0, 1.0]; 3], count, &mut anchors);
            let keys: std::collections::BTreeSet<[i32; 3]> =
                anchors.iter().map(|anchor| anchor.map(|at| (at * 1e4) as i32)).collect();
            assert_eq!((anchors.len(), keys.len()), (count, count));
            assert!(anchors.iter().flatten().all(|at| at.abs() < 1.0));
        }
    }

    #[test]
    fn features_of_an_anchor_are_those_of_a_point_there() {
        for include_pi in [true, false] {
            let input = PointsConfig { num_points: 1, use_normals: false, num_freqs: 4, include_pi };
            let place = [0.3, -0.7, 0.1];
            let points = Tensor::from_data(TensorData::new(place.to_vec(), [1, 1, 3]), &Device::flex());
            let expected: Vec<f32> = point_features(points, None, &input).into_data().iter().collect();
            let found = features(place.map(Some), &input);
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn slow_features_are_those_of_wide_waves() {
        let input = PointsConfig { num_points: 1, use_normals: false, num_freqs: 6, include_pi: true };
        let slow = slow_channels(&input);
        // Waves of length 2, 1 and a half; three coordinates, sine and cosine.
        assert_eq!(slow.len(), 18);
        assert_eq!(slow[..6], [3, 21, 9, 27, 15, 33]);
        let none = PointsConfig { num_points: 1, use_normals: false, num_freqs: 0, include_pi: true };
        assert!(slow_channels(&none).is_empty());
    }
}
