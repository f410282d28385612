//! What a generator reads of the scales that are decided: their pairs of codes summed, at the size of the next scale.

use burn::tensor::{Int, Tensor};
use tessera_layers::resample::{Resampling, resize};

use super::{Scales, SharedCodes};

/// The sum of the pairs of all scales before one, at that one's size.
///
/// Each step enlarges the sum from one scale to the next, not to the last as the tokenizer does.
#[derive(Debug, Clone)]
pub struct VisualFeatures {
    codes: SharedCodes,
    scales: Scales,
    scale: usize,
    /// `[batch, width, side, side]` of `scale`.
    sum: Tensor<4>,
}

impl VisualFeatures {
    /// Before the first scale: nothing, for `rows` pictures.
    pub fn new(codes: SharedCodes, scales: Scales, rows: usize) -> Self {
        let ([_, semantic, pixel], side) = (codes.sizes(), scales.sides().first().copied().unwrap_or(1));
        let sum = Tensor::zeros([rows, semantic + pixel, side, side], &codes.rows().device());
        Self { codes, scales, scale: 0, sum }
    }

    /// The scale that these are features for.
    pub fn scale(&self) -> usize {
        self.scale
    }

    /// Features `[rows, side^2, width]` of the scale, without its own codes.
    pub fn features(&self) -> Tensor<3> {
        SharedCodes::sequence(self.sum.clone())
    }

    /// Features of the scale with codes `[rows, side^2]` that were found for it: what the next of several sampling steps
    /// reads.
    pub fn refined(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        SharedCodes::sequence(self.with(ids))
    }

    /// Goes on to the next scale, with the final codes `[rows, side^2]` of this one; behind the last there is nothing.
    pub fn advance(&mut self, ids: Tensor<2, Int>) {
        let sum = self.with(ids);
        self.scale += 1;
        if let Some(&side) = self.scales.sides().get(self.scale) {
            self.sum = resize(sum, [side, side], Resampling::CubicConvolution);
        }
    }

    fn with(&self, ids: Tensor<2, Int>) -> Tensor<4> {
        let [_, _, side, _] = self.sum.dims();
        self.sum.clone() + SharedCodes::map(self.codes.vectors(ids), side)
    }

    /// The features of all scales but the first, `[rows, tokens - (tokens of the first), width]`, for whole sequences `ids
    /// [rows, tokens]`; those of scale `refined` with its own codes.
    pub fn of_sequence(codes: &SharedCodes, scales: &Scales, ids: Tensor<2, Int>, refined: Option<usize>) -> Tensor<3> {
        let [rows, _] = ids.dims();
        let mut running = Self::new(codes.clone(), scales.clone(), rows);
        let mut all = Vec::new();
        for (scale, range) in scales.ranges().into_iter().enumerate() {
            let own = ids.clone().narrow(1, range.start, range.len());
            if scale > 0 {
                all.push(if refined == Some(scale) { running.refined(own.clone()) } else { running.features() });
            }
            running.advance(own);
        }
        let [_, semantic, pixel] = codes.sizes();
        match all.is_empty() {
            true => Tensor::zeros([rows, 0, semantic + pixel], &codes.rows().device()),
            false => Tensor::cat(all, 1),
        }
    }
}
