//! Shapes as a tokenizer's tokens: what a generator of shapes learns from.

use std::ops::Range;
use std::path::Path;

use burn::tensor::{Device, Tensor};
use rayon::prelude::*;
use tessera_datasets::shape::{Family, Mesh, MeshClasses, ProceduralShapes, ShapeError, load_mesh, mesh_folder};
use tessera_generators::Generated;
use tessera_tokenizers::{Input, InputKind};

use super::codes::{CodeCache, Described};
use super::{TrainConfig, TrainError};
use crate::{Codec, surface_input};

/// Shapes that are encoded at once.
const AT_ONCE: usize = 8;
/// Procedural shapes to learn from where nothing is said.
const USUAL: usize = 4096;
/// Seed of the procedural shapes to judge by, the same for all runs.
const HELD_OUT_SEED: u64 = 0xda7a_0000_5eed_0002;

/// A row of shapes, each of a class or of none: procedural ones by family in turn, then meshes by folder or table.
pub struct ShapeSet {
    /// Of each family.
    procedural: Vec<ProceduralShapes>,
    lattice: usize,
    count: usize,
    meshes: Vec<(Mesh, Option<u32>)>,
    /// Times that every mesh is encoded, each from other points.
    views: usize,
    seed: u64,
    /// What is in it, as text.
    essence: String,
    /// Names of all classes.
    classes: Vec<String>,
    skipped: Vec<(String, String)>,
}

impl ShapeSet {
    /// The shapes to learn from. Meshes that cannot be read are passed over, or with `strict` an error.
    ///
    /// # Errors
    /// [`TrainError`] if there is no shape, or the folder of meshes cannot be read.
    pub fn to_learn(config: &TrainConfig) -> Result<Self, TrainError> {
        let folder = config.shape.meshes.as_deref();
        let procedural = config.generator.shapes.unwrap_or(if folder.is_some() { 0 } else { USUAL });
        let mut classes = if procedural > 0 { family_names() } else { Vec::new() };
        let files = folder.map(|folder| files(config, folder, "shape.meshes")).transpose()?.unwrap_or_default();
        let mut categories: Vec<String> = files.iter().filter_map(|(_, category)| category.clone()).collect();
        categories.sort_unstable();
        categories.dedup();
        classes.extend(categories.into_iter().filter(|category| !classes.contains(category)).collect::<Vec<_>>());
        Self::new(config, (config.run.seed, procedural, config.generator.views), folder, files, classes)
    }

    /// As many held-out shapes as the settings ask for, with the classes of those that are learnt; `None` for none.
    ///
    /// # Errors
    /// As [`ShapeSet::to_learn`].
    pub fn to_judge(config: &TrainConfig, classes: &[String]) -> Result<Option<Self>, TrainError> {
        let wanted = config.validation.validation_pictures;
        if wanted == 0 {
            return Ok(None);
        }
        let folder = config.shape.validation_meshes.as_deref();
        let mut files =
            folder.map(|folder| files(config, folder, "shape.validation_meshes")).transpose()?.unwrap_or_default();
        files.truncate(wanted);
        let procedural = if folder.is_some() { 0 } else { wanted };
        Self::new(config, (HELD_OUT_SEED, procedural, 1), folder, files, classes.to_vec()).map(Some)
    }

    fn new(
        config: &TrainConfig,
        (seed, count, views): (u64, usize, usize),
        folder: Option<&Path>,
        files: Vec<(std::path::PathBuf, Option<String>)>,
        classes: Vec<String>,
    ) -> Result<Self, TrainError> {
        let class = |name: &str| classes.iter().position(|class| class == name).and_then(|at| u32::try_from(at).ok());
        let read: Vec<Result<(Mesh, Option<u32>), ShapeError>> = files
            .par_iter()
            .map(|(path, category)| {
                let mesh = load_mesh(path)?.normalised()?;
                Ok((mesh, category.as_deref().and_then(class)))
            })
            .collect();
        let (mut meshes, mut skipped) = (Vec::new(), Vec::new());
        for ((path, _), mesh) in files.iter().zip(read) {
            match mesh {
                Ok(mesh) => meshes.push(mesh),
                Err(error) if config.data.strict => return Err(error.into()),
                Err(error) => skipped.push((path.display().to_string(), error.to_string())),
            }
        }
        if count == 0 && meshes.is_empty() {
            return Err(TrainError::Invalid {
                key: "generator.shapes",
                expected: "procedural shapes, or a folder of meshes that can be read (--meshes)".to_owned(),
                found: folder.map_or_else(|| "neither".to_owned(), |folder| folder.display().to_string()),
            });
        }
        let lattice = config.shape.lattice;
        let folder = folder.and_then(Path::file_name).unwrap_or_default().to_string_lossy();
        let essence = format!(
            "{count} procedural shapes of seed {seed} from {lattice} samples, {} meshes of {folder:?} {views} times, classes {classes:?}",
            meshes.len()
        );
        let procedural = Family::ALL.map(|family| ProceduralShapes::of(seed, &[family])).to_vec();
        Ok(Self { procedural, lattice, count, meshes, views: views.max(1), seed, essence, classes, skipped })
    }

    /// Names of the classes.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Meshes that could not be read, and why.
    pub fn skipped(&self) -> Vec<(String, String)> {
        self.skipped.clone()
    }

    /// Shapes, each mesh as often as it is encoded.
    fn len(&self) -> usize {
        self.count.saturating_add(self.meshes.len().saturating_mul(self.views))
    }

    /// Shape `number`, and its class.
    fn shape(&self, number: usize) -> Result<(Mesh, Option<u32>), ShapeError> {
        if number < self.count {
            let family = number % self.procedural.len().max(1);
            let shapes = self.procedural.get(family).ok_or(ShapeError::NoExtent { what: "families" })?;
            let name = family_names().into_iter().nth(family);
            let class = self.classes.iter().position(|class| Some(class) == name.as_ref());
            let (_, mesh) = shapes.shape(number as u64, self.lattice)?;
            return Ok((mesh, class.and_then(|class| u32::try_from(class).ok())));
        }
        let mesh = (number - self.count).checked_rem(self.meshes.len()).and_then(|at| self.meshes.get(at));
        mesh.cloned().ok_or(ShapeError::NoExtent { what: "faces" })
    }

    /// The tokens of all shapes, encoded into `folder` as far as they are not there yet; a class is the caption `class=...` too.
    ///
    /// # Errors
    /// [`TrainError`] if a shape cannot be made or encoded, or a file not be read or written.
    pub fn encode(
        &self,
        folder: &Path,
        encoder: &Codec,
        kind: InputKind,
        device: &Device,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<CodeCache, TrainError> {
        let mut encode = |items: Range<usize>| self.codes(items, encoder, kind, device);
        CodeCache::made(folder, encoder, &self.essence, [self.len(), AT_ONCE], &mut encode, progress)
    }

    fn codes(
        &self,
        items: Range<usize>,
        encoder: &Codec,
        kind: InputKind,
        device: &Device,
    ) -> Result<(Generated, Described), TrainError> {
        let shapes = items.clone().into_par_iter().map(|number| self.shape(number)).collect::<Result<Vec<_>, _>>()?;
        let (mut points, mut normals) = (Vec::new(), Vec::new());
        for (number, (mesh, _)) in items.zip(&shapes) {
            let seed = self.seed ^ (number as u64).rotate_left(32);
            if let Input::Points { points: of_shape, normals: of_points } = surface_input(mesh, kind, seed, device)? {
                points.push(of_shape);
                normals.extend(of_points);
            }
        }
        let normals = (!normals.is_empty()).then(|| Tensor::cat(normals, 0));
        let codes = encoder.encode(&Input::Points { points: Tensor::cat(points, 0), normals })?;
        let labels: Vec<Option<u32>> = shapes.iter().map(|(_, class)| *class).collect();
        let name = |class: &Option<u32>| self.classes.get(usize::try_from((*class)?).ok()?);
        let captions = labels.iter().map(|class| Some(format!("class={}", tag(name(class)?)))).collect();
        Ok((codes, Described { captions, labels }))
    }
}

/// A name as captions write it.
fn tag(name: &str) -> String {
    name.trim().to_lowercase().split_whitespace().collect::<Vec<_>>().join("_")
}

/// Families in lower case.
fn family_names() -> Vec<String> {
    Family::ALL.iter().map(|family| format!("{family:?}").to_lowercase()).collect()
}

/// The meshes below a folder, each with its class: what the table says, or the sub-folder that it is in; none for those without a row, or
/// that lie in no sub-folder.
fn files(
    config: &TrainConfig,
    folder: &Path,
    key: &'static str,
) -> Result<Vec<(std::path::PathBuf, Option<String>)>, TrainError> {
    let files = mesh_folder(folder)?;
    if files.is_empty() {
        let expected = "a folder of meshes (PLY, OBJ, STL or glTF)".to_owned();
        return Err(TrainError::Invalid { key, expected, found: format!("none in {}", folder.display()) });
    }
    let (table, column) = (config.shape.mesh_labels.as_deref(), &config.shape.mesh_class_column);
    let classes = table.map(|table| MeshClasses::read(table, column)).transpose()?;
    if let (Some(table), Some(classes)) = (table, &classes)
        && !files.iter().any(|path| classes.of(folder, path).is_some())
    {
        return Err(TrainError::Invalid {
            key: "shape.mesh_labels",
            expected: format!("a table with a row for some mesh in {}", folder.display()),
            found: format!("none in {}", table.display()),
        });
    }
    let category = |path: &Path| {
        if let Some(classes) = &classes {
            return classes.of(folder, path).map(str::to_owned);
        }
        let mut parts = path.strip_prefix(folder).ok()?.components();
        let first = parts.next()?;
        parts.next().map(|_| first.as_os_str().to_string_lossy().into_owned())
    };
    Ok(files.into_iter().map(|path| (path.clone(), category(&path))).collect())
}
