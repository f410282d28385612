//! One index for two codebooks, scale after scale.

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor};
use tessera_layers::resample::{Resampling, resize};
use tessera_layers::{Init, ParamResult, Params};
use tessera_shaders::nearest_code;

use crate::quantizers::{MovableCodes, l2_normalise, replace_rows};

/// The pairs of codes, each half of unit length.
#[derive(Debug, Clone)]
pub struct SharedCodes {
    /// `[codes, semantic + pixel]`
    rows: Tensor<2>,
    semantic: usize,
}

impl SharedCodes {
    /// Of raw codebooks `[codes, semantic]` and `[codes, pixel]`.
    pub fn new(semantic: Tensor<2>, pixel: Tensor<2>) -> Self {
        let [_, width] = semantic.dims();
        Self { rows: Tensor::cat(vec![l2_normalise(semantic), l2_normalise(pixel)], 1), semantic: width }
    }

    /// Pairs, and channels of a semantic and of a pixel code.
    pub fn sizes(&self) -> [usize; 3] {
        let [codes, width] = self.rows.dims();
        [codes, self.semantic, width - self.semantic]
    }

    /// The pairs `[codes, semantic + pixel]`.
    pub fn rows(&self) -> Tensor<2> {
        self.rows.clone()
    }

    /// The same pairs for networks on the autodiff device; they take no gradient there.
    #[must_use]
    pub fn autodiff(&self) -> Self {
        Self { rows: self.rows.clone().autodiff(), semantic: self.semantic }
    }

    /// Latents `[batch, positions, semantic + pixel]` with both halves brought to unit length.
    pub fn compared(&self, latents: Tensor<3>) -> Tensor<3> {
        let [_, semantic, pixel] = self.sizes();
        let halves = [latents.clone().narrow(2, 0, semantic), latents.narrow(2, semantic, pixel)];
        Tensor::cat(halves.map(l2_normalise).to_vec(), 2)
    }

    /// The index whose distances to both halves add up to the least: `[batch, positions, width] -> [batch, positions]`, for
    /// latents as [`SharedCodes::compared`] gives them. The lower index wins ties.
    ///
    /// Rows and latents hold both halves side by side, so that the sum of both distances is one distance.
    pub fn indices(&self, compared: Tensor<3>) -> Tensor<2, Int> {
        let [batch, positions, width] = compared.dims();
        let rows = compared.detach().reshape([batch * positions, width]);
        nearest_code(rows, self.rows.clone().detach()).reshape([batch, positions])
    }

    /// The pairs at indices `[batch, positions]`: `[batch, positions, semantic + pixel]`.
    pub fn vectors(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let ([batch, positions], [_, width]) = (ids.dims(), self.rows.dims());
        self.rows.clone().select(0, ids.reshape([batch * positions])).reshape([batch, positions, width])
    }

    /// A sequence of vectors as a square map: `[batch, side^2, width] -> [batch, width, side, side]`.
    pub fn map(sequence: Tensor<3>, side: usize) -> Tensor<4> {
        let [batch, _, width] = sequence.dims();
        sequence.swap_dims(1, 2).reshape([batch, width, side, side])
    }

    /// A map as a sequence, row by row: `[batch, width, h, w] -> [batch, h w, width]`.
    pub fn sequence(map: Tensor<4>) -> Tensor<3> {
        let [batch, width, height, columns] = map.dims();
        map.reshape([batch, width, height * columns]).swap_dims(1, 2)
    }
}

/// Both codebooks, under `embedding_vqkd` (semantic) and `embedding_vqgan` (pixel).
///
/// Source: TokenFlow, section 3.1 (the weight of the pixel distance is 1 in the released code).
#[derive(Module, Debug)]
pub struct SharedQuantizer {
    semantic: Param<Tensor<2>>,
    pixel: Param<Tensor<2>>,
    beta: f64,
}

/// What one scale came to, for [`SharedQuantizer::quantize`]'s listener.
#[derive(Debug, Clone)]
pub struct ScaleStep {
    /// Index among the scales.
    pub index: usize,
    /// What was left, shrunk to the scale: `[batch, width, side, side]`.
    pub residual: Tensor<4>,
    /// The same as it was compared, `[batch, side^2, width]`.
    pub compared: Tensor<3>,
    /// The chosen pairs, `[batch, width, side, side]`.
    pub quantized: Tensor<4>,
    /// These enlarged to the latents' grid.
    pub enlarged: Tensor<4>,
}

/// What all scales came to.
#[derive(Debug, Clone)]
pub struct MultiScale {
    /// `[batch, tokens]`, one scale after the other.
    pub ids: Tensor<2, Int>,
    /// Sum of the enlarged pairs `[batch, width, grid, grid]`: the codes' values, the latents' gradient.
    pub sum: Tensor<4>,
    /// `mean((pair - sg(latent))^2)`, averaged over the scales.
    pub codebook_loss: Tensor<1>,
    /// `beta * mean((sg(pair) - latent)^2)`, averaged over the scales.
    pub commitment_loss: Tensor<1>,
}

impl SharedQuantizer {
    /// Takes both codebooks of `codes` rows; `beta` weighs the commitment.
    pub fn new(params: &Params, codes: usize, [semantic, pixel]: [usize; 2], beta: f64) -> ParamResult<Self> {
        let table = |name: &str, width: usize| {
            params.at(name).tensor("weight", [codes, width], Init::Uniform(1.0 / codes as f32))
        };
        Ok(Self { semantic: table("embedding_vqkd", semantic)?, pixel: table("embedding_vqgan", pixel)?, beta })
    }

    /// The pairs as they are compared.
    pub fn codes(&self) -> SharedCodes {
        SharedCodes::new(self.semantic.val(), self.pixel.val())
    }

    /// Latents `[batch, width, grid, grid]` to one pair of codes for each cell of each scale. `sides` may leave out scales,
    /// as training does; `seen` hears of each.
    ///
    /// # Panics
    /// If there is no scale: a shape error, as in any tensor operation.
    pub fn quantize(&self, latents: Tensor<4>, sides: &[usize], seen: &mut dyn FnMut(&ScaleStep)) -> MultiScale {
        let codes = self.codes();
        let [_, _, height, width] = latents.dims();
        let grid = [height, width];
        let mut sum = latents.zeros_like();
        let mut residual = latents;
        let (mut ids, mut codebook, mut commitment) = (Vec::new(), Vec::new(), Vec::new());
        for (index, &side) in sides.iter().enumerate() {
            let shrunk = resize(residual.clone(), [side, side], Resampling::Area); // [b, width, s, s]
            let compared = codes.compared(SharedCodes::sequence(shrunk.clone())); // [b, s s, width]
            let chosen = codes.indices(compared.clone());
            let vectors = codes.vectors(chosen.clone());
            codebook.push((vectors.clone() - compared.clone().detach()).square().mean());
            commitment.push((vectors.clone().detach() - compared.clone()).square().mean());
            let vectors = compared.clone() + (vectors - compared.clone()).detach();
            let quantized = SharedCodes::map(vectors, side);
            let enlarged = resize(quantized.clone(), grid, Resampling::CubicConvolution); // [b, width, g, g]
            sum = sum + enlarged.clone();
            residual = residual - enlarged.clone().detach();
            seen(&ScaleStep { index, residual: shrunk, compared, quantized, enlarged });
            ids.push(chosen);
        }
        let mean = |losses: Vec<Tensor<1>>| Tensor::cat(losses, 0).mean();
        MultiScale {
            ids: Tensor::cat(ids, 1),
            sum,
            codebook_loss: mean(codebook),
            commitment_loss: mean(commitment).mul_scalar(self.beta),
        }
    }
}

impl MovableCodes for SharedQuantizer {
    /// Pairs, the semantic half first.
    fn replace_codes(&mut self, replacements: &[(usize, Vec<f32>)]) {
        let [_, width] = self.semantic.lazy_shape().dims();
        let mut halves = Vec::new();
        for (code, pair) in replacements {
            halves.extend(pair.split_at_checked(width).map(|halves| (*code, halves)));
        }
        replace_rows(&mut self.semantic, halves.iter().map(|(code, (semantic, _))| (*code, *semantic)));
        replace_rows(&mut self.pixel, halves.iter().map(|(code, (_, pixel))| (*code, *pixel)));
    }
}
