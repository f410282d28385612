//! Heads that bring the features of a DualToken to a teacher's channels. They help in training and are no part of the model.

use burn::module::Module;
use burn::tensor::Tensor;
use tessera_layers::{Init, Linear, ParamResult, Params};
use tessera_tokenizers::dualtoken::SemanticFeatures;
use tessera_tokenizers::flextok::AlignmentHead;
use tessera_tokenizers::quantizers::l2_normalise;

use super::teacher::Teacher;

/// One head for the features of places, one for the pooled ones.
#[derive(Module, Debug)]
pub struct SemanticHeads {
    places: AlignmentHead,
    pooled: Linear,
}

impl SemanticHeads {
    /// From `hidden` channels of the model; takes `places` and `pooled`.
    pub fn new(params: &Params, hidden: usize) -> ParamResult<Self> {
        let (names, start) = (["weight", "bias"], Init::xavier_uniform(hidden, Teacher::POOLED));
        Ok(Self {
            places: AlignmentHead::new(&params.at("places"), hidden, Teacher::CHANNELS)?,
            pooled: Linear::with_names(&params.at("pooled"), names, hidden, Teacher::POOLED, true, start)?,
        })
    }

    /// Negative cosines, averaged over pictures and places: of features `[batch, grid * grid, hidden]` and the teacher's map
    /// `[batch, 112, h, w]`, and of the pooled ones and `pooled [batch, 1280]`. The mean of both, -1..=1.
    pub fn loss(&self, features: SemanticFeatures, map: Tensor<4>, pooled: Tensor<2>, grid: [usize; 2]) -> Tensor<1> {
        let places = self.places.loss(features.hidden, map, grid);
        let cosine = (l2_normalise(self.pooled.forward(features.pooled)) * l2_normalise(pooled)).sum_dim(1);
        (places - cosine.mean()).div_scalar(2.0)
    }
}
