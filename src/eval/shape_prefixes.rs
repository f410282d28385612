//! How good is a tokenizer of shapes? Every prefix of the tokens beside the shape that they should be.

use std::time::Instant;

use serde::Serialize;
use tessera_datasets::shape::{Mesh, ShapeError, cross_scale_iou};
use tessera_tokenizers::{DecodeOptions, TokenFile, Tokenizer, Tokens, write_tsr};

use super::shapes::{MeasuredShape, ShapeFigures, ShapeOptions};
use super::usage::{CodeUsage, DepthUsage};
use crate::{Error, decode_shape, scale_ends};

/// What a prefix of a shape's tokens decodes to.
#[derive(Debug, Clone, PartialEq)]
pub struct ShapePrefix {
    /// Whole scales in it.
    pub scales: usize,
    /// Tokens.
    pub tokens: usize,
    /// Bytes of its `.tsr` file.
    pub file_bytes: usize,
    /// The shape; empty where nothing of the field is inside.
    pub mesh: Mesh,
    /// Whether each place that shapes are compared at is inside.
    pub inside: Vec<bool>,
    /// How alike it is; `None` without a surface.
    pub figures: Option<ShapeFigures>,
    /// Decoding took so long.
    pub decode_seconds: f64,
}

/// Decodes the tokens of one shape from each of `counts` and compares with `truth`, which stands in the model's box
/// ([`Mesh::normalised`]), as decoded shapes do. `progress` hears of each.
///
/// # Errors
/// As [`decode_shape`], but for a shape without a surface; [`Error::Shape`] for a `truth` without faces or area.
pub fn shape_prefixes(
    tokenizer: &dyn Tokenizer,
    tokens: &Tokens,
    counts: &[usize],
    resolution: usize,
    truth: &Mesh,
    options: &ShapeOptions,
    progress: &mut dyn FnMut(),
) -> Result<Vec<ShapePrefix>, Error> {
    let [seed, true_seed] = options.sampling_seeds();
    let truth = MeasuredShape::new(truth, options, true_seed)?;
    let ends = scale_ends(&tokenizer.info().layout);
    let decoded = counts.iter().map(|&keep| {
        let kept = TokenFile::new(tokens.clone().prefix(keep).map_err(tessera_tokenizers::TokenizerError::from)?);
        let start = Instant::now();
        let mesh = match decode_shape(tokenizer, &kept.tokens, &DecodeOptions::default(), resolution) {
            Err(Error::NoSurface { .. }) => Mesh::default(),
            decoded => decoded?,
        };
        let decode_seconds = start.elapsed().as_secs_f64();
        let (inside, figures) = match mesh.is_empty() {
            true => (vec![false; truth.inside.len()], None),
            false => {
                let shape = MeasuredShape::new(&mesh, options, seed)?;
                let figures = shape.compare(&truth, options)?;
                (shape.inside, Some(figures))
            }
        };
        progress();
        let scales = ends.iter().filter(|&&end| end <= keep).count();
        let file_bytes = write_tsr(&kept)?.len();
        Ok(ShapePrefix { scales, tokens: keep, file_bytes, mesh, inside, figures, decode_seconds })
    });
    decoded.collect()
}

/// Figures of many shapes at one number of tokens.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PrefixMean {
    /// Whole scales.
    pub scales: usize,
    /// Tokens.
    pub tokens: usize,
    /// Mean bytes of a `.tsr` file, header and checksum included.
    pub file_bytes: f64,
    /// Shapes that have a surface; the others count as nothing alike in `f_scores`, `iou`, and not at all in `chamfer_l1`.
    pub surfaces: usize,
    /// Mean F-score of each threshold.
    pub f_scores: Vec<f64>,
    /// Mean shared volume over joint volume.
    pub iou: f64,
    /// Mean Chamfer distance; `None` if nothing has a surface.
    pub chamfer_l1: Option<f64>,
    /// Mean |cosine| between normals of nearest samples; `None` if nothing has a surface.
    pub normal_consistency: Option<f64>,
}

/// A tokenizer of shapes on a set of meshes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ShapeModelReport {
    /// How shapes are compared.
    pub options: ShapeOptions,
    /// Samples along a side of the box in which surfaces are looked for.
    pub resolution: usize,
    /// Shapes measured.
    pub shapes: usize,
    /// Each number of tokens, ascending.
    pub prefixes: Vec<PrefixMean>,
    /// Mean IoU of neighbouring prefixes' shapes; `None` for fewer than two.
    pub cross_scale_iou: Option<f64>,
    /// Use of the codebooks by all tokens.
    pub usage: Vec<DepthUsage>,
}

/// Sums up shapes one after the other.
pub struct ShapeEvaluation {
    options: ShapeOptions,
    resolution: usize,
    shapes: usize,
    sums: Vec<PrefixMean>,
    cross_scale: (f64, usize),
    usage: CodeUsage,
}

impl ShapeEvaluation {
    /// Nothing measured yet, for a model whose codebooks have `vocab` codes.
    pub fn new(options: ShapeOptions, resolution: usize, vocab: &[u32]) -> Self {
        let usage = CodeUsage::new(vocab);
        Self { options, resolution, shapes: 0, sums: Vec::new(), cross_scale: (0.0, 0), usage }
    }

    /// Adds the prefixes of one shape, which are the same of all shapes, and its tokens.
    ///
    /// # Errors
    /// [`ShapeError`] if prefixes were measured at different numbers of places, or at none.
    pub fn add(&mut self, tokens: &Tokens, prefixes: &[ShapePrefix]) -> Result<(), ShapeError> {
        self.usage.add(tokens);
        self.shapes += 1;
        let thresholds = self.options.thresholds.len();
        self.sums.resize_with(prefixes.len().max(self.sums.len()), || PrefixMean::nothing(thresholds));
        for (sum, prefix) in self.sums.iter_mut().zip(prefixes) {
            sum.add(prefix);
        }
        let inside: Vec<&[bool]> = prefixes.iter().map(|prefix| prefix.inside.as_slice()).collect();
        if let Some(iou) = cross_scale_iou(&inside)? {
            self.cross_scale.0 += iou;
            self.cross_scale.1 += 1;
        }
        Ok(())
    }

    /// The means.
    pub fn report(self) -> ShapeModelReport {
        let (sum, count) = self.cross_scale;
        ShapeModelReport {
            prefixes: self.sums.into_iter().map(|sum| sum.divided(self.shapes)).collect(),
            options: self.options,
            resolution: self.resolution,
            shapes: self.shapes,
            cross_scale_iou: (count > 0).then(|| sum / count as f64),
            usage: self.usage.by_depth(),
        }
    }
}

impl PrefixMean {
    fn nothing(thresholds: usize) -> Self {
        Self {
            scales: 0,
            tokens: 0,
            file_bytes: 0.0,
            surfaces: 0,
            f_scores: vec![0.0; thresholds],
            iou: 0.0,
            chamfer_l1: None,
            normal_consistency: None,
        }
    }

    fn add(&mut self, prefix: &ShapePrefix) {
        (self.scales, self.tokens) = (prefix.scales, prefix.tokens);
        self.file_bytes += prefix.file_bytes as f64;
        let Some(figures) = &prefix.figures else { return };
        self.surfaces += 1;
        for (sum, score) in self.f_scores.iter_mut().zip(&figures.f_scores) {
            *sum += score.f_score;
        }
        self.iou += figures.iou;
        *self.chamfer_l1.get_or_insert(0.0) += figures.chamfer_l1;
        *self.normal_consistency.get_or_insert(0.0) += figures.normal_consistency;
    }

    fn divided(mut self, shapes: usize) -> Self {
        let (all, with_surface) = (shapes.max(1) as f64, self.surfaces.max(1) as f64);
        self.file_bytes /= all;
        self.f_scores.iter_mut().for_each(|score| *score /= all);
        self.iou /= all;
        self.chamfer_l1 = self.chamfer_l1.map(|sum| sum / with_surface);
        self.normal_consistency = self.normal_consistency.map(|sum| sum / with_surface);
        self
    }
}

#[cfg(test)]
mod tests {
    use tessera_datasets::shape::FScore;
    use tessera_tokenizers::{Fingerprint, TokenLayout};

    use super::*;

    fn prefix(f_score: Option<f64>) -> ShapePrefix {
        let score = |f_score| FScore { threshold: 0.02, precision: 1.0, recall: 1.0, f_score };
        let of = |f_score| ShapeFigures {
            f_scores: vec![score(f_score)],
            iou: 0.5,
            chamfer_l1: 0.25,
            normal_consistency: 0.75,
            ..ShapeFigures::default()
        };
        let figures = f_score.map(of);
        ShapePrefix {
            scales: 1,
            tokens: 3,
            file_bytes: 20,
            mesh: Mesh::default(),
            inside: vec![true; 10],
            figures,
            decode_seconds: 0.0,
        }
    }

    #[test]
    fn a_shape_without_a_surface_counts_as_nothing_alike_and_not_in_distances() {
        let options = ShapeOptions { places: 10, ..ShapeOptions::default() };
        let mut evaluation = ShapeEvaluation::new(options, 9, &[4]);
        let layout = TokenLayout::Ordered { len: 3 };
        let tokens = Tokens::new(vec![1, 1, 2], 1, layout, vec![4], Fingerprint::default()).unwrap();
        evaluation.add(&tokens, &[prefix(Some(0.8))]).unwrap();
        evaluation.add(&tokens, &[prefix(None)]).unwrap();
        let report = evaluation.report();
        let mean = &report.prefixes[0];
        assert_eq!((report.shapes, mean.surfaces, mean.tokens, report.cross_scale_iou), (2, 1, 3, None));
        assert_eq!((mean.f_scores[0], mean.iou, mean.file_bytes), (0.4, 0.25, 20.0));
        assert_eq!((mean.chamfer_l1, mean.normal_consistency), (Some(0.25), Some(0.75)));
        assert_eq!(report.usage[0].used, 2);
    }
}
