//! Turning and mirroring examples without leaving the cube.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::example::ShapeExample;

/// A quarter turn about the upright axis (y), or a mirror image of one: the eight ways in which the cube falls onto itself and up
/// stays up. Labels of places and normals of surfaces go along.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Symmetry {
    /// Whether x and z change places.
    pub swapped: bool,
    /// Whether x, then z, change their signs, after that.
    pub negated: [bool; 2],
}

impl Symmetry {
    /// Symmetry `number` of a seed.
    pub fn draw(seed: u64, number: u64) -> Self {
        let mut chance = ChaCha8Rng::seed_from_u64(seed);
        chance.set_stream(number);
        Self { swapped: chance.random(), negated: chance.random() }
    }

    /// Where a place or a direction goes.
    pub fn apply(self, [x, y, z]: [f32; 3]) -> [f32; 3] {
        let [x, z] = if self.swapped { [z, x] } else { [x, z] };
        let [negate_x, negate_z] = self.negated;
        [if negate_x { -x } else { x }, y, if negate_z { -z } else { z }]
    }
}

impl ShapeExample {
    /// The example of the shape that is turned so.
    pub fn turned(mut self, symmetry: Symmetry) -> Self {
        for [x, y, z, along_x, along_y, along_z] in &mut self.points {
            [*x, *y, *z] = symmetry.apply([*x, *y, *z]);
            [*along_x, *along_y, *along_z] = symmetry.apply([*along_x, *along_y, *along_z]);
        }
        for place in self.volume.places.iter_mut().chain(&mut self.near.places) {
            *place = symmetry.apply(*place);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::{ExampleOptions, Solid};

    #[test]
    fn labels_and_normals_of_a_turned_example_are_those_of_the_turned_solid() {
        let half = [0.8, 0.5, 0.3];
        let solid = Solid::Cuboid { half, rounding: 0.0 };
        let mesh = solid.mesh(33).unwrap();
        let options = ExampleOptions { points: 200, volume: 400, near: 100, deviations: vec![0.05] };
        let symmetry = Symmetry { swapped: true, negated: [true, false] };
        let turned = solid.example(&mesh, &options, 4).unwrap().turned(symmetry);
        let inside = |[x, y, z]: [f32; 3]| x.abs() <= 0.3 && y.abs() <= 0.5 && z.abs() <= 0.8;
        for labelled in [&turned.volume, &turned.near] {
            for (place, &label) in labelled.places.iter().zip(&labelled.inside) {
                assert_eq!(inside(*place), label, "{place:?}");
            }
        }
        for [x, y, z, ..] in &turned.points {
            let off = [(x.abs() - 0.3).abs(), (y.abs() - 0.5).abs(), (z.abs() - 0.8).abs()];
            assert!(off.into_iter().fold(1.0, f32::min) < 1e-4);
        }
        let outward = |row: &[f32; 6]| row[0] * row[3] + row[1] * row[4] + row[2] * row[5] > 0.0;
        assert!(turned.points.iter().all(outward));
    }

    #[test]
    fn all_eight_are_drawn_and_each_is_an_isometry() {
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..100 {
            let symmetry = Symmetry::draw(3, number);
            assert_eq!(symmetry, Symmetry::draw(3, number));
            let [x, y, z] = symmetry.apply([1.0, 2.0, 3.0]);
            assert_eq!((y, x * x + z * z), (2.0, 10.0));
            seen.insert([x as i32, z as i32]);
        }
        assert_eq!(seen.len(), 8);
    }
}
