//! The quantizer itself.

use std::ops::Range;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData};
use tessera_layers::{ParamResult, Params};
use tessera_shaders::nearest_code;

use super::phi::Phi;
use super::{ScaleQuantizerConfig, down_matrix, phi_index, up_matrix};
use crate::quantizers::{VectorQuantizer, l2_normalise};

/// A codebook, the convolutions that scales share, and how latents are resampled.
#[derive(Module, Debug)]
pub struct ScaleQuantizer {
    codes: VectorQuantizer,
    phi: Vec<Phi>,
    #[module(skip)]
    plan: Arc<Plan>,
}

/// What has no parameters.
#[derive(Debug)]
struct Plan {
    config: ScaleQuantizerConfig,
    latents: usize,
    channels: usize,
    /// Down `[tokens, latents]` and up `[latents, tokens]` of each scale; none where nothing is resampled.
    matrices: Vec<Option<[Vec<f32>; 2]>>,
}

/// What a family calls the tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScaleNames {
    /// `embedding.weight`, `phi.<k>.{weight, bias}`
    Plain,
    /// VAR's: `embedding.weight` and, by how many convolutions there are, `quant_resi.<k>`, `quant_resi.qresi` or
    /// `quant_resi.qresi_ls.<k>`; none where their share is 0.
    Var,
}

/// Latents in codes.
#[derive(Debug, Clone)]
pub struct ScaleCodes {
    /// Ids of each scale, `[batch, tokens of the scale]`.
    pub ids: Vec<Tensor<2, Int>>,
    /// The running sum after each scale, `[batch, latents, width]`; gradients flow to codes and convolutions.
    pub sums: Vec<Tensor<3>>,
    /// What is left after each scale, `[batch, latents, width]`, without a gradient.
    pub rests: Vec<Tensor<3>>,
    /// What each scale looked up, `[batch, tokens of the scale, width]`, without a gradient.
    pub compared: Vec<Tensor<3>>,
}

impl ScaleCodes {
    /// Ids of all scales, coarse to fine, `[batch, tokens]`.
    pub fn all_ids(&self) -> Tensor<2, Int> {
        Tensor::cat(self.ids.clone(), 1)
    }

    /// Everything that was looked up, `[batch, tokens, width]`: what unused codes may be moved onto.
    pub fn candidates(&self) -> Tensor<3> {
        Tensor::cat(self.compared.clone(), 1)
    }

    /// The sum of all scales, `[batch, latents, width]`, in the values of which the latents `z` take a gradient (straight
    /// through).
    pub fn straight_through(&self, z: Tensor<3>) -> Tensor<3> {
        match self.sums.last() {
            Some(sum) => z.clone() + (sum.clone() - z).detach(),
            None => z,
        }
    }

    /// Mean over the scales of `beta mse(sg(sum), z) + mse(sum, sg(z))`.
    pub fn loss(&self, z: Tensor<3>, beta: f64) -> Tensor<1> {
        let of_scale = |sum: &Tensor<3>| {
            let commitment = (sum.clone().detach() - z.clone()).square().mean();
            let codebook = (sum.clone() - z.clone().detach()).square().mean();
            commitment.mul_scalar(beta) + codebook
        };
        let losses: Vec<Tensor<1>> = self.sums.iter().map(of_scale).collect();
        Tensor::cat(losses, 0).mean()
    }
}

impl ScaleQuantizer {
    /// Takes the tensors of `names` below `params`. `config` must have passed [`ScaleQuantizerConfig::check`] for `latents`.
    pub fn new(
        params: &Params,
        config: &ScaleQuantizerConfig,
        [latents, channels]: [usize; 2],
        names: ScaleNames,
    ) -> ParamResult<Self> {
        let sizes = [config.codebook_size, channels];
        let codes = VectorQuantizer::new(&params.at("embedding"), sizes, false, config.beta)?;
        let count = match names {
            ScaleNames::Var if config.quant_resi <= 1e-6 => 0,
            _ => config.convolutions(),
        };
        let phi = (0..count).map(|index| {
            let params = match (names, config.share_quant_resi) {
                (ScaleNames::Plain, _) => params.at("phi").at(index),
                (ScaleNames::Var, 0) => params.at("quant_resi").at(index),
                (ScaleNames::Var, 1) => params.at("quant_resi.qresi"),
                (ScaleNames::Var, _) => params.at("quant_resi.qresi_ls").at(index),
            };
            Phi::new(&params, config.resample, channels, config.quant_resi)
        });
        let phi = phi.collect::<ParamResult<_>>()?;
        let matrices = |&tokens: &usize| {
            (tokens != latents && !params.is_listing())
                .then(|| [down_matrix, up_matrix].map(|matrix| matrix(config.resample, tokens, latents)))
        };
        let matrices = config.scales.iter().map(matrices).collect();
        Ok(Self { codes, phi, plan: Arc::new(Plan { config: config.clone(), latents, channels, matrices }) })
    }

    /// Its configuration.
    pub fn config(&self) -> &ScaleQuantizerConfig {
        &self.plan.config
    }

    /// Tokens of each scale.
    pub fn scales(&self) -> &[usize] {
        &self.plan.config.scales
    }

    /// Where the tokens of each scale stand among all tokens.
    pub fn ranges(&self) -> Vec<Range<usize>> {
        let ends = self.scales().iter().scan(0, |end, count| {
            let start = *end;
            *end += count;
            Some(start..*end)
        });
        ends.collect()
    }

    /// Channels of a latent and of a code.
    pub fn channels(&self) -> usize {
        self.plan.channels
    }

    /// Latents.
    pub fn latents(&self) -> usize {
        self.plan.latents
    }

    /// The codebook.
    pub fn codes(&self) -> &VectorQuantizer {
        &self.codes
    }

    /// The codebook, to move its codes.
    pub fn codes_mut(&mut self) -> &mut VectorQuantizer {
        &mut self.codes
    }

    /// Latents `z [batch, latents, width]` to codes of all scales. No gradient flows through the choice of codes.
    pub fn quantize(&self, z: Tensor<3>) -> ScaleCodes {
        let mut rest = z.detach();
        let mut codes = ScaleCodes { ids: vec![], sums: vec![], rests: vec![], compared: vec![] };
        for scale in 0..self.scales().len() {
            let seen = self.down(rest.clone(), scale); // [b, l, d]
            let ids = self.nearest(seen.clone());
            let h = self.contribution(ids.clone(), scale); // [b, L, d]
            rest = rest - h.clone().detach();
            let sum = match codes.sums.last() {
                Some(sum) => sum.clone() + h,
                None => h,
            };
            codes.ids.push(ids);
            codes.sums.push(sum);
            codes.rests.push(rest.clone());
            codes.compared.push(seen);
        }
        codes
    }

    /// Ids `[batch, tokens]` of the nearest codes of `[batch, tokens, width]`.
    fn nearest(&self, latents: Tensor<3>) -> Tensor<2, Int> {
        if !self.plan.config.znorm {
            return self.codes.indices(latents);
        }
        let [batch, tokens, width] = latents.dims();
        let rows = l2_normalise(latents.detach().reshape([batch * tokens, width]));
        nearest_code(rows, l2_normalise(self.codes.codebook().detach())).reshape([batch, tokens])
    }

    /// What the ids `[batch, tokens of the scale]` of scale `scale` add to the sum, `[batch, latents, width]`.
    pub fn contribution(&self, ids: Tensor<2, Int>, scale: usize) -> Tensor<3> {
        let h = self.up(self.codes.vectors(ids), scale);
        match self.phi.get(phi_index(scale, self.scales().len(), self.phi.len())) {
            Some(phi) => phi.forward(h),
            None => h,
        }
    }

    /// The running sums `[batch, latents, width]` after each of the scales that `ids [batch, tokens]` hold as a whole.
    pub fn sums(&self, ids: Tensor<2, Int>) -> Vec<Tensor<3>> {
        let [_, held] = ids.dims();
        let ranges = self.ranges().into_iter().enumerate().take_while(|(_, range)| range.end <= held);
        let mut sums: Vec<Tensor<3>> = Vec::new();
        for (scale, range) in ranges {
            let h = self.contribution(ids.clone().narrow(1, range.start, range.len()), scale);
            let sum = match sums.last() {
                Some(sum) => sum.clone() + h,
                None => h,
            };
            sums.push(sum);
        }
        sums
    }

    /// Latents `[batch, latents, width]` as scale `scale` sees them, `[batch, tokens of the scale, width]`.
    pub fn down(&self, latents: Tensor<3>, scale: usize) -> Tensor<3> {
        self.resample(latents, scale, 0)
    }

    fn up(&self, tokens: Tensor<3>, scale: usize) -> Tensor<3> {
        self.resample(tokens, scale, 1)
    }

    fn resample(&self, x: Tensor<3>, scale: usize, direction: usize) -> Tensor<3> {
        let Some(Some(matrices)) = self.plan.matrices.get(scale) else {
            return x;
        };
        let ([_, from, _], device) = (x.dims(), x.device());
        let weights = matrices.get(direction).cloned().unwrap_or_default();
        let to = weights.len() / from.max(1);
        Tensor::<3>::from_data(TensorData::new(weights, [1, to, from]), &device).matmul(x)
    }
}
