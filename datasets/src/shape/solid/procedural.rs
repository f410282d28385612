//! An endless set of solids, each a function of a seed and its index.

use std::f64::consts::{PI, TAU};

use nalgebra::{Isometry3, Quaternion, Translation3, UnitQuaternion, Vector3};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::Solid;
use crate::shape::chance::{between, gaussian};
use crate::shape::error::Result;
use crate::shape::example::{ExampleOptions, ShapeExample};
use crate::shape::mesh::{Mesh, Point};
use crate::shape::normalise::{HALF_EXTENT, Normalisation};

/// How a solid is put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// One ball, ellipsoid, box, ring or rod, turned any way.
    Single,
    /// Two to four of them, grown together.
    Union,
    /// One without one or two others.
    Difference,
    /// A box or rods, twisted.
    Twist,
    /// A plate on legs, perhaps with a back.
    Furniture,
    /// Two or three rings through each other.
    Chain,
    /// A hollow half of a ball or box, open at the top.
    Bowl,
    /// Balls and rods around an axis, each joined to the next.
    Tower,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Single,
        Self::Union,
        Self::Difference,
        Self::Twist,
        Self::Furniture,
        Self::Chain,
        Self::Bowl,
        Self::Tower,
    ];
}

/// An endless training set of solids: number `index` of a seed is the same for ever, on any number of cores.
///
/// ```
/// use tessera_datasets::shape::ProceduralShapes;
/// let shapes = ProceduralShapes::new(7);
/// let (solid, mesh) = shapes.shape(12345, 33)?;
/// assert_eq!(shapes.shape(12345, 33)?.0, solid);
/// assert!(!mesh.is_empty());
/// # Ok::<(), tessera_datasets::shape::ShapeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ProceduralShapes {
    seed: u64,
    families: Vec<Family>,
}

impl ProceduralShapes {
    /// Shapes of all families.
    pub fn new(seed: u64) -> Self {
        Self::of(seed, &Family::ALL)
    }

    /// Shapes of some families, in equal parts; of all, if none is named.
    pub fn of(seed: u64, families: &[Family]) -> Self {
        let families = if families.is_empty() { &Family::ALL } else { families };
        Self { seed, families: families.to_vec() }
    }

    /// Solid `index`, its box centred with the longest half at [`HALF_EXTENT`], and its surface from a lattice of `side` samples (64
    /// shows every part; less is faster).
    ///
    /// # Errors
    /// [`ShapeError::Setting`](crate::shape::ShapeError::Setting) for a side out of 2 to 1025.
    pub fn shape(&self, index: u64, side: usize) -> Result<(Solid, Mesh)> {
        let mut chance = ChaCha8Rng::seed_from_u64(self.seed);
        chance.set_stream(index);
        // A difference may leave nothing; the next draw of the same stream is taken then.
        for _ in 0..16 {
            let family = self.families[chance.random_range(0..self.families.len())];
            let solid = draw(family, &mut chance);
            let solid = Solid::Scaled(Box::new(solid.clone()), HALF_EXTENT / solid.reach().max(1e-3));
            // A rough look tells its size, which the second, fine one is taken at.
            let Ok(fit) = Normalisation::of(&solid.mesh(ROUGH)?, HALF_EXTENT) else { continue };
            // What is left may be a sliver: enlarged, it would be all lattice.
            if fit.scale > 6.0 {
                continue;
            }
            let solid = fitted(solid, fit);
            let mesh = solid.mesh(side)?;
            let Ok(fit) = Normalisation::of(&mesh, HALF_EXTENT) else { continue };
            return Ok((fitted(solid, fit), mesh.moved(|place| fit.apply(place))?));
        }
        let ball = Solid::Sphere { radius: HALF_EXTENT };
        let mesh = ball.mesh(side)?;
        Ok((ball, mesh))
    }
}

/// Samples along a side of the first look at a solid.
const ROUGH: usize = 33;

fn fitted(solid: Solid, fit: Normalisation) -> Solid {
    let [x, y, z] = (-fit.centre).coords.into();
    Solid::Scaled(Box::new(moved(solid, x, y, z)), fit.scale)
}

impl ProceduralShapes {
    /// A training example of solid `index`, a function of the seed, the index and the options; `side` as in
    /// [`ProceduralShapes::shape`].
    ///
    /// # Errors
    /// As [`ProceduralShapes::shape`].
    pub fn example(&self, index: u64, side: usize, options: &ExampleOptions) -> Result<ShapeExample> {
        let (solid, mesh) = self.shape(index, side)?;
        solid.example(&mesh, options, self.seed ^ index.rotate_left(32))
    }
}

fn draw(family: Family, chance: &mut ChaCha8Rng) -> Solid {
    match family {
        Family::Single => turned(primitive(chance), chance),
        Family::Union => Solid::Union((0..chance.random_range(2..=4)).map(|_| scattered(0.45, chance)).collect()),
        Family::Difference => {
            let holes = (0..chance.random_range(1..=2)).map(|_| scattered(0.5, chance)).collect();
            let body = turned(primitive(chance), chance);
            turned(Solid::Difference(Box::new(body), Box::new(Solid::Union(holes))), chance)
        }
        Family::Twist => twist(chance),
        Family::Furniture => furniture(chance),
        Family::Chain => chain(chance),
        Family::Bowl => bowl(chance),
        Family::Tower => tower(chance),
    }
}

/// A simple solid about one unit long.
fn primitive(chance: &mut ChaCha8Rng) -> Solid {
    match chance.random_range(0..6) {
        0 => Solid::Sphere { radius: between(0.4, 0.7, chance) },
        1 => Solid::Ellipsoid { radii: [(); 3].map(|()| between(0.25, 0.8, chance)) },
        2 => {
            let half = [(); 3].map(|()| between(0.15, 0.6, chance));
            Solid::Cuboid { half, rounding: if chance.random() { between(0.0, 0.12, chance) } else { 0.0 } }
        }
        3 => Solid::Torus { major: between(0.4, 0.6, chance), minor: between(0.1, 0.22, chance) },
        4 => Solid::Capsule { half: between(0.2, 0.6, chance), radius: between(0.12, 0.35, chance) },
        _ => Solid::Cylinder { half: between(0.1, 0.6, chance), radius: between(0.15, 0.5, chance) },
    }
}

fn twist(chance: &mut ChaCha8Rng) -> Solid {
    let half = [between(0.15, 0.4, chance), between(0.6, 0.8, chance), between(0.15, 0.4, chance)];
    let body = if chance.random() {
        Solid::Cuboid { half, rounding: between(0.02, 0.1, chance) }
    } else {
        let rod = Solid::Capsule { half: half[1], radius: between(0.12, 0.2, chance) };
        let aside = between(0.15, 0.35, chance);
        let count = chance.random_range(2..=4);
        Solid::Union((0..count).map(|part| around(rod.clone(), aside, part, count)).collect())
    };
    turned(Solid::Twisted(Box::new(body), between(-PI, PI, chance)), chance)
}

fn furniture(chance: &mut ChaCha8Rng) -> Solid {
    let [width, depth, height] = [between(0.4, 0.9, chance), between(0.35, 0.7, chance), between(0.3, 0.7, chance)];
    let (plate, leg) = (between(0.06, 0.12, chance), between(0.06, 0.12, chance));
    let mut parts = vec![Solid::Cuboid { half: [width, plate, depth], rounding: 0.0 }];
    let round = chance.random::<bool>();
    for [x, z] in [[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]] {
        let one = match round {
            true => Solid::Cylinder { half: height, radius: leg },
            false => Solid::Cuboid { half: [leg, height, leg], rounding: 0.0 },
        };
        parts.push(moved(one, x * (width - leg), -height, z * (depth - leg)));
    }
    if chance.random() {
        let back = between(0.2, 0.6, chance);
        parts.push(moved(Solid::Cuboid { half: [width, back, plate], rounding: 0.0 }, 0.0, back, plate - depth));
    }
    upright(Solid::Union(parts), chance)
}

fn chain(chance: &mut ChaCha8Rng) -> Solid {
    let (major, minor) = (between(0.35, 0.45, chance), between(0.06, 0.08, chance));
    let parts = (0..chance.random_range(2..=3)).map(|link| {
        let stand = if link % 2 == 0 { 0.0 } else { PI / 2.0 };
        let ring = Solid::Torus { major, minor };
        let turn = UnitQuaternion::from_axis_angle(&Vector3::x_axis(), stand);
        Solid::Placed(
            Box::new(ring),
            Isometry3::from_parts(Translation3::new(1.4 * major * f64::from(link), 0.0, 0.0), turn),
        )
    });
    turned(Solid::Union(parts.collect()), chance)
}

fn bowl(chance: &mut ChaCha8Rng) -> Solid {
    let (outer, wall) = (between(0.5, 0.8, chance), between(0.08, 0.18, chance));
    let body = |size: f64, round: bool| match round {
        true => Solid::Sphere { radius: size },
        false => Solid::Cuboid { half: [size; 3], rounding: 0.05 },
    };
    let round = chance.random();
    let rim = between(-0.1, 0.4, chance) * outer;
    let above = moved(Solid::Cuboid { half: [2.0, 1.0, 2.0], rounding: 0.0 }, 0.0, 1.0 + rim, 0.0);
    let holes = Solid::Union(vec![body(outer - wall, round), above]);
    upright(Solid::Difference(Box::new(body(outer, round)), Box::new(holes)), chance)
}

fn tower(chance: &mut ChaCha8Rng) -> Solid {
    let (mut parts, mut at) = (Vec::new(), 0.0);
    for _ in 0..chance.random_range(2..=5) {
        let (half, radius) = (between(0.08, 0.3, chance), between(0.12, 0.5, chance));
        let part = match chance.random_range(0..3) {
            0 => Solid::Ellipsoid { radii: [radius, half, radius] },
            1 => Solid::Cuboid { half: [radius, half, between(0.12, 0.5, chance)], rounding: 0.02 },
            _ => Solid::Cylinder { half, radius },
        };
        parts.push(moved(part, 0.0, at + half, 0.0));
        at += 1.8 * half;
    }
    upright(moved(Solid::Union(parts), 0.0, -at / 2.0, 0.0), chance)
}

/// A simple solid turned and moved by up to `aside` along each axis.
fn scattered(aside: f64, chance: &mut ChaCha8Rng) -> Solid {
    let solid = turned(primitive(chance), chance);
    let [x, y, z] = [(); 3].map(|()| between(-aside, aside, chance));
    moved(solid, x, y, z)
}

/// Part `part` of `count` around the y axis.
fn around(solid: Solid, aside: f64, part: u32, count: u32) -> Solid {
    let (sine, cosine) = (TAU * f64::from(part) / f64::from(count)).sin_cos();
    moved(solid, aside * cosine, 0.0, aside * sine)
}

fn moved(solid: Solid, x: f64, y: f64, z: f64) -> Solid {
    Solid::Placed(Box::new(solid), Isometry3::translation(x, y, z))
}

/// Turned any way, all equally likely.
fn turned(solid: Solid, chance: &mut ChaCha8Rng) -> Solid {
    let [w, x, y, z] = [(); 4].map(|()| gaussian(chance));
    let turn = UnitQuaternion::try_new(Quaternion::new(w, x, y, z), 1e-9).unwrap_or_else(UnitQuaternion::identity);
    Solid::Placed(Box::new(solid), Isometry3::from_parts(Translation3::identity(), turn))
}

/// Turned about the y axis.
fn upright(solid: Solid, chance: &mut ChaCha8Rng) -> Solid {
    let turn = UnitQuaternion::from_axis_angle(&Vector3::y_axis(), between(0.0, TAU, chance));
    Solid::Placed(Box::new(solid), Isometry3::from_parts(Translation3::identity(), turn))
}

impl Solid {
    /// A distance from the origin beyond which nothing is inside; infinite for an intersection of nothing.
    pub fn reach(&self) -> f64 {
        match self {
            Self::Sphere { radius } => *radius,
            Self::Ellipsoid { radii } => radii.iter().copied().fold(0.0, f64::max),
            Self::Cuboid { half, .. } => Point::from(*half).coords.norm(),
            Self::Torus { major, minor } => major + minor,
            Self::Capsule { half, radius } => half + radius,
            Self::Cylinder { half, radius } => half.hypot(*radius),
            Self::Placed(solid, at) => solid.reach() + at.translation.vector.norm(),
            Self::Scaled(solid, factor) => solid.reach() * factor,
            Self::Twisted(solid, _) => solid.reach(),
            Self::Union(solids) => solids.iter().map(Self::reach).fold(0.0, f64::max),
            Self::Intersection(solids) => solids.iter().map(Self::reach).fold(f64::INFINITY, f64::min),
            Self::Difference(solid, _) => solid.reach(),
        }
    }
}
