//! Decoded vectors to the features that a diffusion model takes.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, activation};
use tessera_layers::{Init, Linear, ParamResult, Params, Trace};

use super::config::{SeedConfig, SeedKind};
use super::qformer::Qformer;

/// Which head a model has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadKind {
    /// An MLP on each vector, then one linear layer over all of them: SEED-2 as released.
    Mlp,
    /// Learned tokens that look at the vectors: SEED-1, and SEED-2 as its training code has it.
    Reverse,
}

/// The head under `image_down` or `Reverse_Qformer` and `reverse_tokens`, and `distill_image_proj` or `distill_text_proj`.
#[derive(Module, Debug)]
pub struct FeatureHead {
    down: Vec<Linear>,
    tokens: Option<Param<Tensor<3>>>,
    reverse: Option<Qformer>,
    proj: Linear,
}

impl FeatureHead {
    /// Takes every tensor of the head that `config` asks for.
    pub fn new(params: &Params, config: &SeedConfig) -> ParamResult<Self> {
        let (width, [_, channels]) = (config.width(), config.features());
        let proj_name = match config.model_type {
            SeedKind::Seed1 => "distill_text_proj",
            SeedKind::Seed2 | SeedKind::Seed2Training => "distill_image_proj",
        };
        let linear = |params: &Params, [inputs, outputs]: [usize; 2], bias: bool| {
            Linear::with_names(params, ["weight", "bias"], inputs, outputs, bias, Init::uniform_fan_in(inputs))
        };
        if let Some(reverse) = config.reverse() {
            let shape = [1, reverse.num_query_token, width];
            return Ok(Self {
                down: Vec::new(),
                tokens: Some(params.tensor("reverse_tokens", shape, Init::Normal(0.02))?),
                reverse: Some(Qformer::new(
                    &params.at("Reverse_Qformer"),
                    &reverse.qformer(&config.encoder.qformer),
                    false,
                )?),
                proj: linear(&params.at(proj_name), [width, channels], true)?,
            });
        }
        let (mut inputs, mut down) = (width, Vec::new());
        for (index, &outputs) in config.image_down_dims.iter().enumerate() {
            // Between two layers stands an activation, which has a number but no tensors.
            down.push(linear(&params.at("image_down").at(2 * index), [inputs, outputs], false)?);
            inputs = outputs;
        }
        let flat = config.encoder.num_query_token * inputs;
        let proj = linear(&params.at(proj_name), [flat, channels], true)?;
        Ok(Self { down, tokens: None, reverse: None, proj })
    }

    /// Which head this is.
    pub fn kind(&self) -> HeadKind {
        if self.reverse.is_some() { HeadKind::Reverse } else { HeadKind::Mlp }
    }

    /// Vectors `[batch, tokens, width]` to features `[batch, rows, channels]`.
    ///
    /// Reports `image_down`, or `reverse.embeddings` and `reverse.layer{i}`, to `trace`.
    pub fn forward(&self, vectors: Tensor<3>, trace: &mut Trace) -> Tensor<3> {
        if let (Some(tokens), Some(reverse)) = (&self.tokens, &self.reverse) {
            let tokens = tokens.val();
            let ([batch, ..], [_, rows, width]) = (vectors.dims(), tokens.dims());
            let tokens = tokens.expand([batch, rows, width]);
            let x = reverse.queries(tokens, vectors, false, &mut trace.at("reverse"));
            return self.proj.forward(x);
        }
        let mut x = vectors;
        for (index, layer) in self.down.iter().enumerate() {
            x = if index == 0 { layer.forward(x) } else { layer.forward(activation::relu(x)) };
        }
        trace.see("image_down", || x.clone());
        let [batch, tokens, width] = x.dims();
        self.proj.forward(x.reshape([batch, 1, tokens * width]))
    }
}
