//! Shapes to learn from, each a function of the seed and of its number.

use std::path::Path;

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use tessera_datasets::shape::{
    ExampleOptions, Mesh, MeshShape, ProceduralShapes, ShapeError, ShapeExample, Symmetry, load_mesh, mesh_folder,
};

use super::TrainError;

/// An endless row of shapes.
pub enum ShapeSource {
    /// Made by rules.
    Procedural(Solids),
    /// From files.
    Meshes(Meshes),
    /// Of either sort, in turn.
    Mixed {
        /// Made by rules.
        solids: Solids,
        /// From files.
        meshes: Meshes,
        /// Share of the latter, 0..=1.
        mesh_share: f64,
    },
}

/// Shapes made by rules.
pub struct Solids {
    shapes: ProceduralShapes,
    /// Samples along a side of the lattice on which their surfaces are found.
    lattice: usize,
}

/// Shapes from files, in another order each time round, with other points, and turned where that is wanted.
pub struct Meshes {
    /// What could be read, by name of the file.
    shapes: Vec<MeshShape>,
    /// Decides about order, points and turns.
    seed: u64,
    is_turned: bool,
}

/// Files that could not be read, and why.
pub type Skipped = Vec<(String, String)>;

impl Meshes {
    /// All meshes below a folder. A file that cannot be used is passed over, or with `strict` an error.
    ///
    /// # Errors
    /// [`TrainError::Shape`] if the folder cannot be listed; [`TrainError::Invalid`] for `key` if it holds no mesh that can be used.
    pub fn open(key: &'static str, folder: &Path, seed: u64, strict: bool) -> Result<(Self, Skipped), TrainError> {
        let files = mesh_folder(folder)?;
        let load = |path: &std::path::PathBuf| load_mesh(path).and_then(|mesh| MeshShape::new(&mesh));
        let loaded: Vec<Result<MeshShape, ShapeError>> = files.par_iter().map(load).collect();
        let (mut shapes, mut skipped) = (Vec::new(), Vec::new());
        for (path, shape) in files.iter().zip(loaded) {
            match shape {
                Ok(shape) => shapes.push(shape),
                Err(error) if strict => return Err(error.into()),
                Err(error) => skipped.push((path.display().to_string(), error.to_string())),
            }
        }
        if shapes.is_empty() {
            let expected = "a folder of meshes (PLY, OBJ, STL or glTF)".to_owned();
            let found = format!("none that can be used in {}", folder.display());
            return Err(TrainError::Invalid { key, expected, found });
        }
        Ok((Self { shapes, seed, is_turned: false }, skipped))
    }

    /// Each time round, every mesh in one of the eight ways in which up stays up ([`Symmetry`]).
    #[must_use]
    pub fn turned(self) -> Self {
        Self { is_turned: true, ..self }
    }

    fn example(&self, number: u64, options: &ExampleOptions) -> Result<ShapeExample, ShapeError> {
        let shape = of_round(&self.shapes, self.seed, number).ok_or(ShapeError::NoExtent { what: "faces" })?;
        let example = shape.example(options, self.seed ^ number.rotate_left(32))?;
        Ok(if self.is_turned { example.turned(Symmetry::draw(self.seed, number)) } else { example })
    }

    fn shape(&self, number: usize) -> Result<&MeshShape, ShapeError> {
        self.shapes.get(number).ok_or(ShapeError::NoExtent { what: "faces" })
    }
}

impl Solids {
    /// Shapes of a seed.
    pub fn new(seed: u64, lattice: usize) -> Self {
        Self { shapes: ProceduralShapes::new(seed), lattice }
    }

    fn example(&self, number: u64, options: &ExampleOptions) -> Result<ShapeExample, ShapeError> {
        self.shapes.example(number, self.lattice, options)
    }
}

impl ShapeSource {
    /// How many different shapes there are; `None` for an endless set.
    pub fn count(&self) -> Option<usize> {
        match self {
            Self::Procedural(_) | Self::Mixed { .. } => None,
            Self::Meshes(meshes) => Some(meshes.shapes.len()),
        }
    }

    /// Example `number`.
    ///
    /// # Errors
    /// [`ShapeError`] if a mesh has no area.
    pub fn example(&self, number: u64, options: &ExampleOptions) -> Result<ShapeExample, ShapeError> {
        match self {
            Self::Procedural(solids) => solids.example(number, options),
            Self::Meshes(meshes) => meshes.example(number, options),
            Self::Mixed { solids, meshes, mesh_share } => match of_mesh(number, *mesh_share) {
                Some(number) => meshes.example(number, options),
                None => solids.example(number, options),
            },
        }
    }

    /// Surface `number`, by file name for meshes; of a mixture, of the procedural ones.
    ///
    /// # Errors
    /// [`ShapeError`] if it cannot be found.
    pub fn mesh(&self, number: usize) -> Result<Mesh, ShapeError> {
        match self {
            Self::Procedural(solids) | Self::Mixed { solids, .. } => {
                Ok(solids.shapes.shape(number as u64, solids.lattice)?.1)
            }
            Self::Meshes(meshes) => Ok(meshes.shape(number)?.mesh().clone()),
        }
    }

    /// Example `number` of a set to judge by, in the order of [`ShapeSource::mesh`].
    ///
    /// # Errors
    /// As [`ShapeSource::example`].
    pub fn held_out(&self, number: usize, options: &ExampleOptions) -> Result<ShapeExample, ShapeError> {
        match self {
            Self::Procedural(solids) | Self::Mixed { solids, .. } => solids.example(number as u64, options),
            Self::Meshes(meshes) => {
                meshes.shape(number)?.example(options, meshes.seed ^ (number as u64).rotate_left(32))
            }
        }
    }
}

/// Which mesh example `number` of a mixture is, if it is one: they are spread evenly.
fn of_mesh(number: u64, share: f64) -> Option<u64> {
    let before = |number: u64| (number as f64 * share).floor();
    (before(number.saturating_add(1)) > before(number)).then(|| before(number) as u64)
}

/// Item `number` of rounds over all shapes, each in an order of its own.
fn of_round<T>(shapes: &[T], seed: u64, number: u64) -> Option<&T> {
    let count = shapes.len() as u64;
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    chance.set_stream(number.checked_div(count)?);
    let mut order: Vec<usize> = (0..shapes.len()).collect();
    order.shuffle(&mut chance);
    let place = usize::try_from(number.checked_rem(count)?).ok()?;
    shapes.get(*order.get(place)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mixture_holds_the_share_of_meshes_that_it_should_one_after_the_other() {
        let numbers: Vec<u64> = (0..1000).filter_map(|number| of_mesh(number, 0.3)).collect();
        assert_eq!(numbers, (0..300).collect::<Vec<u64>>());
        let spread = (0..20).filter(|number| of_mesh(*number, 0.3).is_some());
        assert_eq!(spread.count(), 6);
        assert_eq!((0..50).filter_map(|number| of_mesh(number, 0.0)).count(), 0);
        assert_eq!((0..50).filter_map(|number| of_mesh(number, 1.0)).collect::<Vec<_>>(), (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn each_round_has_every_shape_once_in_an_order_of_its_own() {
        let shapes: Vec<u64> = (0..20).collect();
        let round = |round: u64| -> Vec<u64> {
            (0..20).map(|place| *of_round(&shapes, 3, round * 20 + place).unwrap()).collect()
        };
        let (first, second) = (round(0), round(1));
        assert_ne!(first, second);
        for mut round in [first, second] {
            round.sort_unstable();
            assert_eq!(round, shapes);
        }
        assert_eq!(of_round::<u64>(&[], 3, 0), None);
    }
}
