//! Heads that bring the features of a semantic tower to a teacher's channels. They help in training and are no part of the model.

use burn::module::Module;
use burn::tensor::Tensor;
use tessera_layers::{Init, Linear, ParamResult, Params};
use tessera_tokenizers::dualtoken::SemanticFeatures;
use tessera_tokenizers::flextok::AlignmentHead;
use tessera_tokenizers::quantizers::l2_normalise;

use super::teacher::{Target, Teacher};

/// One head for the features of places, one for the pooled ones.
#[derive(Module, Debug)]
pub struct SemanticHeads {
    places: AlignmentHead,
    pooled: Linear,
}

impl SemanticHeads {
    /// From `hidden` channels of the model; takes `places` and `pooled`.
    pub fn new(params: &Params, hidden: usize, target: Target) -> ParamResult<Self> {
        let (names, start) = (["weight", "bias"], Init::xavier_uniform(hidden, Teacher::POOLED));
        Ok(Self {
            places: AlignmentHead::new(&params.at("places"), hidden, target.width())?,
            pooled: Linear::with_names(&params.at("pooled"), names, hidden, Teacher::POOLED, true, start)?,
        })
    }

    /// Negative cosines, averaged over pictures and places: of features `[batch, grid * grid, hidden]` and the teacher's map of the
    /// pictures (in 0..=1), and of the pooled ones. The mean of both, -1..=1.
    pub fn loss(
        &self,
        features: SemanticFeatures,
        teacher: &Teacher,
        target: Target,
        images: Tensor<4>,
        grid: usize,
    ) -> Tensor<1> {
        let (map, pooled) = teacher.both(images, target);
        let is_learnt = features.pooled.device().is_autodiff();
        let (map, pooled) = if is_learnt { (map.autodiff(), pooled.autodiff()) } else { (map, pooled) };
        let places = self.places.loss(features.hidden, map, [grid; 2]);
        let cosine = (l2_normalise(self.pooled.forward(features.pooled)) * l2_normalise(pooled)).sum_dim(1);
        (places - cosine.mean()).div_scalar(2.0)
    }
}
