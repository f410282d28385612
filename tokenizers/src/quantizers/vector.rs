//! Vector quantization with an L2 or cosine codebook and a straight-through gradient.

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor};
use tessera_layers::{Init, ParamResult, Params};
use tessera_shaders::nearest_code;

use super::restarts::{MovableCodes, replace_rows};

/// A codebook `[codes, width]`; with `use_l2_norm` latents and codes are compared, and returned, on the unit sphere.
///
/// Source: van den Oord et al. 2017 (losses, straight-through gradient); Yu et al. 2021, "Vector-quantized Image
/// Modeling with Improved VQGAN" (l2-normalised codes); TiTok released configs. No moving average, no revival
/// of dead codes.
#[derive(Module, Debug)]
pub struct VectorQuantizer {
    embedding: Param<Tensor<2>>,
    use_l2_norm: bool,
    commitment_cost: f64,
}

/// What [`VectorQuantizer::forward`] returns.
#[derive(Debug, Clone)]
pub struct Quantized {
    /// `[batch, positions]`, values `0..codes`.
    pub indices: Tensor<2, Int>,
    /// `[batch, positions, width]`: the codes' values, the latents' gradient.
    pub vectors: Tensor<3>,
    /// `[batch, positions, width]`: the latents as they were compared, see [`VectorQuantizer::compared`].
    pub latents: Tensor<3>,
    /// `commitment_cost * mean((sg(code) - latent)^2)`, over every element of every position.
    pub commitment_loss: Tensor<1>,
    /// `mean((code - sg(latent))^2)`.
    pub codebook_loss: Tensor<1>,
}

impl Quantized {
    /// Sum of both losses.
    pub fn loss(&self) -> Tensor<1> {
        self.commitment_loss.clone() + self.codebook_loss.clone()
    }
}

impl VectorQuantizer {
    /// Takes `weight [codes, width]`; starts from U(-1/codes, 1/codes).
    pub fn new(
        params: &Params,
        [codes, width]: [usize; 2],
        use_l2_norm: bool,
        commitment_cost: f64,
    ) -> ParamResult<Self> {
        let init = Init::Uniform(1.0 / codes as f32);
        let embedding = params.tensor("weight", [codes, width], init)?;
        Ok(Self { embedding, use_l2_norm, commitment_cost })
    }

    /// Index of the nearest code of each latent: `[batch, positions, width] -> [batch, positions]`.
    pub fn indices(&self, latents: Tensor<3>) -> Tensor<2, Int> {
        let [batch, positions, width] = latents.dims();
        let rows = latents.detach().reshape([batch * positions, width]);
        let codebook = self.embedding.val().detach();
        let indices = if self.use_l2_norm {
            nearest_code(l2_normalise(rows), l2_normalise(codebook))
        } else {
            nearest_code(rows, codebook)
        };
        indices.reshape([batch, positions])
    }

    /// Latents as they are compared with the codebook: on the unit sphere if its codes are.
    pub fn compared(&self, latents: Tensor<3>) -> Tensor<3> {
        if self.use_l2_norm { l2_normalise(latents) } else { latents }
    }

    /// The codes of `indices`, `[batch, positions] -> [batch, positions, width]`, normalised if the codebook is.
    pub fn vectors(&self, indices: Tensor<2, Int>) -> Tensor<3> {
        let [batch, positions] = indices.dims();
        let codebook = self.embedding.val();
        let [_, width] = codebook.dims();
        let rows = codebook.select(0, indices.reshape([batch * positions]));
        let rows = if self.use_l2_norm { l2_normalise(rows) } else { rows };
        rows.reshape([batch, positions, width])
    }

    /// Quantizes for training: indices, straight-through vectors and both losses.
    pub fn forward(&self, latents: Tensor<3>) -> Quantized {
        let indices = self.indices(latents.clone());
        let codes = self.vectors(indices.clone());
        let latents = self.compared(latents);
        let commitment = (codes.clone().detach() - latents.clone()).powf_scalar(2.0).mean();
        let codebook_loss = (codes.clone() - latents.clone().detach()).powf_scalar(2.0).mean();
        let vectors = latents.clone() + (codes - latents.clone()).detach();
        let commitment_loss = commitment.mul_scalar(self.commitment_cost);
        Quantized { indices, vectors, latents, commitment_loss, codebook_loss }
    }

    /// Code vectors of soft assignments: probabilities `[batch, positions, codes]` times the raw codebook.
    pub fn soft_vectors(&self, probabilities: Tensor<3>) -> Tensor<3> {
        let rows = burn::tensor::module::linear(probabilities, self.embedding.val(), None);
        if self.use_l2_norm { l2_normalise(rows) } else { rows }
    }

    /// Codebook entries.
    pub fn codes(&self) -> usize {
        self.embedding.lazy_shape()[0]
    }

    /// The raw codebook `[codes, width]`.
    pub fn codebook(&self) -> Tensor<2> {
        self.embedding.val()
    }
}

impl MovableCodes for VectorQuantizer {
    fn replace_codes(&mut self, replacements: &[(usize, Vec<f32>)]) {
        replace_rows(&mut self.embedding, replacements.iter().map(|(code, vector)| (*code, vector.as_slice())));
    }
}

/// `x / max(|x|, 1e-12)` over the last dimension.
pub fn l2_normalise<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let norm = x.clone().powf_scalar(2.0).sum_dim(D - 1).sqrt().clamp_min(1e-12);
    x / norm
}
