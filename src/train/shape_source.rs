//! Shapes to learn from, each a function of the seed and of its number.

use std::path::Path;

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use tessera_datasets::shape::{
    ExampleOptions, Mesh, MeshShape, ProceduralShapes, ShapeError, ShapeExample, load_mesh, mesh_folder,
};

use super::TrainError;

/// An endless row of shapes.
pub enum ShapeSource {
    /// Made by rules.
    Procedural {
        /// Which.
        shapes: ProceduralShapes,
        /// Samples along a side of the lattice on which their surfaces are found.
        lattice: usize,
    },
    /// From files, in another order each time round, and with other points.
    Meshes {
        /// What could be read, by name of the file.
        shapes: Vec<MeshShape>,
        /// Decides about order and points.
        seed: u64,
    },
}

/// Files that could not be read, and why.
pub type Skipped = Vec<(String, String)>;

impl ShapeSource {
    /// Procedural shapes.
    pub fn procedural(seed: u64, lattice: usize) -> Self {
        Self::Procedural { shapes: ProceduralShapes::new(seed), lattice }
    }

    /// All meshes below a folder. A file that cannot be used is passed over, or with `strict` an error.
    ///
    /// # Errors
    /// [`TrainError::Shape`] if the folder cannot be listed; [`TrainError::Invalid`] for `key` if it holds no mesh that can be used.
    pub fn meshes(key: &'static str, folder: &Path, seed: u64, strict: bool) -> Result<(Self, Skipped), TrainError> {
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
        Ok((Self::Meshes { shapes, seed }, skipped))
    }

    /// How many different shapes there are; `None` for an endless set.
    pub fn count(&self) -> Option<usize> {
        match self {
            Self::Procedural { .. } => None,
            Self::Meshes { shapes, .. } => Some(shapes.len()),
        }
    }

    /// Example `number`.
    ///
    /// # Errors
    /// [`ShapeError`] if a mesh has no area.
    pub fn example(&self, number: u64, options: &ExampleOptions) -> Result<ShapeExample, ShapeError> {
        match self {
            Self::Procedural { shapes, lattice } => shapes.example(number, *lattice, options),
            Self::Meshes { shapes, seed } => {
                let shape = of_round(shapes, *seed, number).ok_or(ShapeError::NoExtent { what: "faces" })?;
                shape.example(options, seed ^ number.rotate_left(32))
            }
        }
    }

    /// Surface `number`, by file name for meshes.
    ///
    /// # Errors
    /// [`ShapeError`] if it cannot be found.
    pub fn mesh(&self, number: usize) -> Result<Mesh, ShapeError> {
        match self {
            Self::Procedural { shapes, lattice } => Ok(shapes.shape(number as u64, *lattice)?.1),
            Self::Meshes { shapes, .. } => {
                let shape = shapes.get(number).ok_or(ShapeError::NoExtent { what: "faces" })?;
                Ok(shape.mesh().clone())
            }
        }
    }

    /// Example `number` of a set to judge by, in the order of [`ShapeSource::mesh`].
    ///
    /// # Errors
    /// As [`ShapeSource::example`].
    pub fn held_out(&self, number: usize, options: &ExampleOptions) -> Result<ShapeExample, ShapeError> {
        match self {
            Self::Procedural { .. } => self.example(number as u64, options),
            Self::Meshes { shapes, seed } => {
                let shape = shapes.get(number).ok_or(ShapeError::NoExtent { what: "faces" })?;
                shape.example(options, seed ^ (number as u64).rotate_left(32))
            }
        }
    }
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
