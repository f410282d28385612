//! Residual quantization: several codes to a position, each for what those before it left over.

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor};
use tessera_layers::{Init, ParamResult, Params};
use tessera_shaders::nearest_code;

/// Sizes of a [`ResidualQuantizer`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResidualSizes {
    /// Rows, columns and channels of the latents.
    pub latent: [usize; 3],
    /// Rows and columns of the codes, which divide those of the latents, and codes of a position.
    pub code: [usize; 3],
    /// Codes of each depth's codebook.
    pub codes: Vec<usize>,
    /// Whether all depths search one codebook.
    pub is_shared: bool,
}

impl ResidualSizes {
    /// Rows and columns of latents that one code stands for.
    pub fn fold(&self) -> [usize; 2] {
        let ([height, width, _], [rows, columns, _]) = (self.latent, self.code);
        [height / rows.max(1), width / columns.max(1)]
    }

    /// Width of a code.
    pub fn width(&self) -> usize {
        let [rows, columns] = self.fold();
        rows * columns * self.latent[2]
    }
}

/// A codebook for each depth, or one for all: names `codebooks.<depth>.{weight, cluster_size_ema, embed_ema}`.
///
/// A released file repeats a shared codebook under every depth; the first one counts. The last row of a weight is padding and
/// never a code. Nothing is normalised.
///
/// Source: Lee et al. 2022, "Autoregressive Image Generation using Residual Quantization" (arXiv 2203.01941), section 3.1.
#[derive(Module, Debug)]
pub struct ResidualQuantizer {
    pub(super) codebooks: Vec<Codebook>,
    pub(super) is_shared: bool,
    fold: [usize; 2],
    channels: usize,
}

/// A table and its moving averages.
#[derive(Module, Debug)]
pub(super) struct Codebook {
    /// `[codes + 1, width]`
    pub weight: Param<Tensor<2>>,
    /// `[codes]`
    pub cluster_size_ema: Param<Tensor<1>>,
    /// `[codes, width]`
    pub embed_ema: Param<Tensor<2>>,
}

/// What [`ResidualQuantizer::forward`] returns.
#[derive(Debug, Clone)]
pub struct ResidualQuantized {
    /// `[batch, rows, columns, depth]`.
    pub codes: Tensor<4, Int>,
    /// `[batch, height, width, channels]`: the codes' sums, the latents' gradient.
    pub vectors: Tensor<4>,
    /// Mean over depths of `mean((latent - sg(sum of the codes up to that depth))^2)`.
    pub commitment_loss: Tensor<1>,
}

impl ResidualQuantizer {
    /// Takes the tensors of `sizes`.
    pub fn new(params: &Params, sizes: &ResidualSizes) -> ParamResult<Self> {
        let (at, width) = (params.at("codebooks"), sizes.width());
        let codebook = |(depth, &codes): (usize, &usize)| -> ParamResult<Codebook> {
            let at = at.at(depth);
            Ok(Codebook {
                weight: at.tensor("weight", [codes + 1, width], Init::Normal(1.0))?,
                cluster_size_ema: at.tensor("cluster_size_ema", [codes], Init::Zeros)?,
                embed_ema: at.tensor("embed_ema", [codes, width], Init::Normal(1.0))?,
            })
        };
        Ok(Self {
            codebooks: sizes.codes.iter().enumerate().map(codebook).collect::<ParamResult<_>>()?,
            is_shared: sizes.is_shared,
            fold: sizes.fold(),
            channels: sizes.latent[2],
        })
    }

    /// Makes the repeats of a shared codebook the first one. For a network whose tensors were read.
    pub fn share(&mut self) {
        if !self.is_shared {
            return;
        }
        let mut rest = self.codebooks.iter_mut();
        let Some(first) = rest.next() else { return };
        for other in rest {
            other.weight = same(&other.weight, first.weight.val());
            other.cluster_size_ema = same(&other.cluster_size_ema, first.cluster_size_ema.val());
            other.embed_ema = same(&other.embed_ema, first.embed_ema.val());
        }
    }

    /// Starts the moving averages of a table that nothing was learnt for: its own rows, chosen by nobody.
    pub fn start_averages(&mut self) {
        for codebook in &mut self.codebooks {
            codebook.embed_ema = same(&codebook.embed_ema, table(codebook));
            let sizes = codebook.cluster_size_ema.val().zeros_like();
            codebook.cluster_size_ema = same(&codebook.cluster_size_ema, sizes);
        }
        self.share();
    }

    /// Codes of a position.
    pub fn depth(&self) -> usize {
        self.codebooks.len()
    }

    /// Width of a code.
    pub fn width(&self) -> usize {
        self.fold[0] * self.fold[1] * self.channels
    }

    /// Codes of each depth.
    pub fn vocab(&self) -> Vec<usize> {
        self.codebooks.iter().map(|codebook| codebook.embed_ema.lazy_shape()[0]).collect()
    }

    /// The table of a depth with its padding row, how often each code was chosen, and the sum of what chose it; both moving
    /// averages. `None` beyond the last depth.
    pub fn tables(&self, depth: usize) -> Option<(Tensor<2>, Tensor<1>, Tensor<2>)> {
        let codebook = self.codebooks.get(depth)?;
        Some((codebook.weight.val(), codebook.cluster_size_ema.val(), codebook.embed_ema.val()))
    }

    /// Quantizes latents `[batch, height, width, channels]`.
    ///
    /// # Panics
    /// If there is no codebook: a shape error, as in any tensor operation.
    pub fn forward(&self, latents: Tensor<4>) -> ResidualQuantized {
        let found = self.search(&latents);
        self.quantized(latents, found)
    }

    /// The codes of vectors `[batch, rows, columns, width]`, as sums of [`ResidualQuantizer::vectors_by_depth`] are: `[batch, rows, columns, depth]`.
    ///
    /// # Panics
    /// If they are of another width, or there is no codebook.
    pub fn nearest(&self, vectors: Tensor<4>) -> Tensor<4, Int> {
        let [batch, rows, columns, width] = vectors.dims();
        let found = self.search_rows(vectors.detach().reshape([batch * rows * columns, width]));
        Tensor::cat(found.into_iter().map(|step| step.codes.reshape([batch, rows, columns, 1])).collect(), 3)
    }

    /// The search of all depths in the tables as they are.
    pub(super) fn search(&self, latents: &Tensor<4>) -> Vec<Found> {
        self.search_rows(self.rows(latents.clone().detach()))
    }

    fn search_rows(&self, mut residual: Tensor<2>) -> Vec<Found> {
        let mut found = Vec::new();
        for codebook in &self.codebooks {
            let step = codebook.find(residual);
            residual = step.left.clone();
            found.push(step);
        }
        found
    }

    /// What was found, put together.
    pub(super) fn quantized(&self, latents: Tensor<4>, found: Vec<Found>) -> ResidualQuantized {
        let [batch, height, width, _] = latents.dims();
        let [rows, columns] = [height / self.fold[0], width / self.fold[1]];
        let x = self.rows(latents.clone());
        let mut sum = x.zeros_like().detach();
        let (mut codes, mut losses) = (Vec::new(), Vec::new());
        for step in found {
            sum = sum + step.vectors;
            losses.push((x.clone() - sum.clone()).square().mean());
            codes.push(step.codes.reshape([batch, rows, columns, 1]));
        }
        let vectors = self.unfold(sum, [batch, rows, columns]);
        ResidualQuantized {
            codes: Tensor::cat(codes, 3),
            vectors: latents.clone() + (vectors - latents).detach(),
            commitment_loss: Tensor::cat(losses, 0).mean(),
        }
    }

    /// The code vectors of each depth: `[batch, rows, columns, depth] -> [batch, rows, columns, depth, width]`.
    pub fn vectors_by_depth(&self, codes: Tensor<4, Int>) -> Tensor<5> {
        let [batch, rows, columns, _] = codes.dims();
        let depths = self.codebooks.iter().enumerate().map(|(depth, codebook)| {
            let ids = codes.clone().narrow(3, depth, 1).reshape([batch * rows * columns]);
            let vectors = codebook.weight.val().select(0, ids);
            let [_, width] = vectors.dims();
            vectors.reshape([batch, rows, columns, 1, width])
        });
        Tensor::cat(depths.collect(), 3)
    }

    /// Sums of the code vectors of all depths: `[batch, rows, columns, depth] -> [batch, height, width, channels]`.
    pub fn vectors(&self, codes: Tensor<4, Int>) -> Tensor<4> {
        let [batch, rows, columns, _] = codes.dims();
        let all = self.vectors_by_depth(codes);
        let [_, _, _, _, width] = all.dims();
        let sum = all.sum_dim(3).reshape([batch * rows * columns, width]);
        self.unfold(sum, [batch, rows, columns])
    }

    /// Latents `[batch, height, width, channels]` as one row for each position of codes.
    pub(super) fn rows(&self, latents: Tensor<4>) -> Tensor<2> {
        let [batch, height, width, channels] = latents.dims();
        let [down, across] = self.fold;
        let (rows, columns) = (height / down, width / across);
        let split = latents.reshape([batch, rows, down, columns, across, channels]).permute([0, 1, 3, 2, 4, 5]);
        split.reshape([batch * rows * columns, down * across * channels])
    }

    fn unfold(&self, vectors: Tensor<2>, [batch, rows, columns]: [usize; 3]) -> Tensor<4> {
        let [down, across] = self.fold;
        let split = vectors.reshape([batch, rows, columns, down, across, self.channels]);
        split.permute([0, 1, 3, 2, 4, 5]).reshape([batch, rows * down, columns * across, self.channels])
    }
}

/// What one depth came to.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// `[n]`
    pub codes: Tensor<1, Int>,
    /// `[n, width]`
    pub vectors: Tensor<2>,
    /// What was searched for, `[n, width]`.
    pub residual: Tensor<2>,
    /// What is left over.
    pub left: Tensor<2>,
}

impl Codebook {
    /// The nearest code of each row of `residual [n, width]`; no gradient flows.
    pub(super) fn find(&self, residual: Tensor<2>) -> Found {
        let table = table(self);
        let codes = nearest_code(residual.clone(), table.clone());
        let vectors = table.select(0, codes.clone());
        Found { codes, left: residual.clone() - vectors.clone(), vectors, residual }
    }
}

/// The rows that are codes, without a gradient.
fn table(codebook: &Codebook) -> Tensor<2> {
    let weight = codebook.weight.val().detach();
    let [rows, _] = weight.dims();
    weight.narrow(0, 0, rows.saturating_sub(1))
}

/// A parameter with another value.
pub(super) fn same<const D: usize>(param: &Param<Tensor<D>>, value: Tensor<D>) -> Param<Tensor<D>> {
    Param::initialized(param.id, value)
}
