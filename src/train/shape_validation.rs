//! Judging a 3D tokenizer by shapes that it never learnt from.

use burn::tensor::{Device, Tensor};
use rayon::prelude::*;
use tessera_datasets::shape::{
    ExampleOptions, Lattice, Mesh, Point, RenderOptions, ShapeError, ShapeExample, SurfaceOptions, View,
    extract_surface, overlap, render,
};
use tessera_datasets::{Picture, Sheet};
use tessera_layers::Trace;
use tessera_tokenizers::TokenizerError;
use tessera_tokenizers::quantizers::CodeCounts;
use tessera_tokenizers::vat::{OccupancyField, VatNetwork, VatStage};

use super::shape_feed::ShapeBatch;
use super::shape_source::{Meshes, ShapeSource, Solids};
use super::{TrainConfig, TrainError, ValidationLine};

/// Held-out shapes, and surfaces of some of them.
pub struct ShapeValidation {
    examples: Vec<ShapeExample>,
    surfaces: Vec<Mesh>,
    sample_lattice: usize,
    device: Device,
}

/// Seed of the procedural shapes to judge by, the same for all runs.
const SEED: u64 = 0xda7a_0000_5eed_0001;
/// Shapes of a pass.
const AT_ONCE: usize = 8;
/// Side of a shape on a sample sheet, in pixels.
const CELL: u32 = 128;

/// A shape that a number of tokens decodes to.
struct Prefix {
    tokens: usize,
    field: OccupancyField,
}

impl ShapeValidation {
    /// As many shapes as the settings ask for, with `points` surface points each. `device` has no autodiff.
    ///
    /// # Errors
    /// [`TrainError`] if meshes cannot be read.
    pub fn new(config: &TrainConfig, points: usize, device: &Device) -> Result<Self, TrainError> {
        let section = &config.shape;
        let source = match &section.validation_meshes {
            Some(folder) => {
                let (meshes, _) = Meshes::open("shape.validation_meshes", folder, SEED, config.data.strict)?;
                ShapeSource::Meshes(meshes)
            }
            None => ShapeSource::Procedural(Solids::new(SEED, section.lattice)),
        };
        let options = ExampleOptions { points, volume: section.validation_places, near: 0, deviations: Vec::new() };
        let wanted = config.validation.validation_pictures;
        let count = source.count().map_or(wanted, |count| count.min(wanted));
        let examples = (0..count).into_par_iter().map(|number| source.held_out(number, &options));
        let examples = examples.collect::<Result<_, ShapeError>>()?;
        let shown = config.validation.sample_pictures.min(count);
        let surfaces = (0..shown).into_par_iter().map(|number| source.mesh(number));
        let surfaces = surfaces.collect::<Result<_, ShapeError>>()?;
        Ok(Self { examples, surfaces, sample_lattice: section.sample_lattice, device: device.clone() })
    }

    /// Mean IoU after each scale, and use of the codebook; in the first stage that of all latents as they are. `None` without shapes.
    ///
    /// # Errors
    /// [`TrainError`] if the network cannot be run.
    pub fn judge(&self, network: &VatNetwork, stage: VatStage) -> Result<Option<ValidationLine>, TrainError> {
        if self.examples.is_empty() {
            return Ok(None);
        }
        let mut sums: Vec<(usize, f64)> = Vec::new();
        let mut codes = CodeCounts::new(network.quantizer().codes().codes());
        for examples in self.examples.chunks(AT_ONCE) {
            let prefixes = self.prefixes(network, stage, examples, &mut codes);
            sums.resize(prefixes.len(), (0, 0.0));
            for (sum, prefix) in sums.iter_mut().zip(&prefixes) {
                sum.0 = prefix.tokens;
                for (item, example) in examples.iter().enumerate() {
                    let logits = prefix.field.evaluate(item, &example.volume.places).map_err(failed)?;
                    let inside: Vec<bool> = logits.into_iter().map(|logit| logit >= 0.0).collect();
                    sum.1 += overlap(&inside, &example.volume.inside)?.iou();
                }
            }
        }
        let count = self.examples.len() as f64;
        let iou = sums.into_iter().map(|(tokens, sum)| (tokens, sum / count)).collect();
        Ok(Some(ValidationLine { iou, usage: codes.usage(), perplexity: codes.perplexity(), ..Default::default() }))
    }

    /// The first `count` shapes, each in a row with what more and more tokens decode to. A shape without a surface is an empty
    /// picture. `None` without shapes.
    ///
    /// # Errors
    /// [`TrainError`] if nothing can be drawn.
    pub fn sheet(&self, network: &VatNetwork, stage: VatStage, count: usize) -> Result<Option<Picture>, TrainError> {
        let options = RenderOptions { side: CELL, ..RenderOptions::default() };
        let surface = SurfaceOptions::new(Lattice::cube(self.sample_lattice)?);
        let draw = |mesh: &Mesh| render(mesh, View::default(), &options);
        let mut rows: Vec<Vec<(String, Picture)>> = Vec::new();
        let count = count.min(self.surfaces.len());
        for (examples, surfaces) in self.examples.chunks(AT_ONCE).zip(self.surfaces.chunks(AT_ONCE)) {
            let left = count.saturating_sub(rows.len()).min(surfaces.len());
            let Some(examples) = examples.get(..left).filter(|examples| !examples.is_empty()) else { break };
            let prefixes = self.prefixes(network, stage, examples, &mut CodeCounts::new(0));
            for (item, original) in surfaces.iter().take(left).enumerate() {
                let mut row = vec![("original".to_owned(), draw(original)?)];
                for Prefix { tokens, field } in &prefixes {
                    let mut values = |places: &[Point]| {
                        let places: Vec<[f32; 3]> =
                            places.iter().map(|place| [place.x, place.y, place.z].map(|x| x as f32)).collect();
                        Ok(field.evaluate(item, &places)?)
                    };
                    let found = extract_surface(&surface, &mut values)?;
                    row.push((tokens.to_string(), draw(&found.mesh)?));
                }
                rows.push(row);
            }
        }
        let Some(columns) = rows.first().map(Vec::len) else { return Ok(None) };
        let columns = u32::try_from(columns).unwrap_or(u32::MAX);
        let width = columns.saturating_mul(CELL + 8).saturating_add(8);
        let sheet = Sheet::new().with_cell_side(CELL).with_max_width(width);
        let cells = rows.into_iter().flatten();
        let sheet = cells.fold(sheet, |sheet, (label, picture)| sheet.push(picture, &[label]));
        Ok(Some(sheet.draw()?))
    }

    /// What examples decode to after each scale; in the first stage with all latents as they are. Counts codes.
    fn prefixes(
        &self,
        network: &VatNetwork,
        stage: VatStage,
        examples: &[ShapeExample],
        codes: &mut CodeCounts,
    ) -> Vec<Prefix> {
        let ShapeBatch { points, normals, .. } = ShapeBatch::new(examples, &self.device);
        let mu = network.moments(points, Some(normals), &mut Trace::none()).mu;
        let field = |latents: Tensor<3>| {
            OccupancyField::new(network.planes(latents, &mut Trace::none()), network.occupancy().clone())
        };
        match stage {
            VatStage::Continuous => vec![Prefix { tokens: network.quantizer().latents(), field: field(mu) }],
            VatStage::Quantized | VatStage::Prefix(_) => {
                let found = network.quantizer().quantize(mu);
                codes.add(&found.all_ids());
                let ends = network.quantizer().ranges().into_iter().map(|range| range.end);
                ends.zip(found.sums).map(|(tokens, sum)| Prefix { tokens, field: field(sum) }).collect()
            }
        }
    }
}

fn failed(error: TokenizerError) -> TrainError {
    TrainError::Shape(ShapeError::Field(error.into()))
}
