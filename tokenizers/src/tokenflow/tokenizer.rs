//! The tokenizer behind the trait.

use burn::tensor::{Device, Tensor};
use tessera_layers::Trace;

use super::{Scales, TokenFlowConfig, TokenFlowNetwork};
use crate::tensors::{read_ids, upload_ids, upload_mask};
use crate::tokenizer::{check_maker, mean_over_positions, side_by_side};
use crate::{DecodeOptions, Input, Latents, Output, Tokenizer, TokenizerError, TokenizerInfo, Tokens};

/// A TokenFlow ready for use.
pub struct TokenFlow {
    network: TokenFlowNetwork,
    config: TokenFlowConfig,
    info: TokenizerInfo,
    device: Device,
}

impl TokenFlow {
    pub(super) fn new(
        network: TokenFlowNetwork,
        config: TokenFlowConfig,
        info: TokenizerInfo,
        device: &Device,
    ) -> Self {
        Self { network, config, info, device: device.clone() }
    }

    /// The network itself.
    pub fn network(&self) -> &TokenFlowNetwork {
        &self.network
    }

    /// Takes the network out.
    pub fn into_network(self) -> TokenFlowNetwork {
        self.network
    }

    /// Its configuration.
    pub fn config(&self) -> &TokenFlowConfig {
        &self.config
    }

    /// Semantic features `[batch, g^2, outputs]` of tokens, or of their first whole scales.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn semantic_features(&self, tokens: &Tokens, options: &DecodeOptions) -> Result<Tensor<3>, TokenizerError> {
        Ok(self.network.semantic_features(self.sum(tokens, options)?, &mut Trace::none()))
    }

    /// Semantic and pixel codes at the same indices, `[batch, tokens, channels]` each, of unit length.
    ///
    /// # Errors
    /// [`TokenizerError`] if the tokens are another model's.
    pub fn code_halves(&self, tokens: &Tokens) -> Result<[Tensor<3>; 2], TokenizerError> {
        let vectors = self.embed(tokens)?.vectors;
        let (semantic, pixel) = (self.config.semantic_code_dim, self.config.codebook_embed_dim);
        Ok([vectors.clone().narrow(2, 0, semantic), vectors.narrow(2, semantic, pixel)])
    }

    /// The sum of the pairs of what is kept, `[batch, semantic + pixel, g, g]`.
    fn sum(&self, tokens: &Tokens, options: &DecodeOptions) -> Result<Tensor<4>, TokenizerError> {
        check_maker(tokens, &self.info, &self.info.layout)?;
        let (batch, positions, scales) = (tokens.batch(), tokens.positions(), self.config.scales());
        let kept = tokens.prefix_lengths().ok_or_else(|| unfit(&scales, "an arbitrary subset".to_owned()))?;
        let wanted = options.keep.unwrap_or(positions);
        let lengths: Vec<usize> = kept.into_iter().map(|length| length.min(wanted)).collect();
        for length in std::iter::once(&wanted).chain(&lengths) {
            if scales.within(*length).is_none() {
                return Err(unfit(&scales, format!("{length} tokens")));
            }
        }
        let ids = upload_ids(tokens.ids(), [batch, positions], &self.device);
        let most = lengths.iter().copied().max().unwrap_or(wanted);
        let ids = ids.narrow(1, 0, most);
        let marks: Vec<bool> = lengths.iter().flat_map(|&length| (0..most).map(move |at| at < length)).collect();
        let kept = marks.contains(&false).then(|| upload_mask(&marks, [batch, most], &self.device));
        Ok(self.network.sum(ids, kept))
    }
}

fn unfit(scales: &Scales, found: String) -> TokenizerError {
    let expected = format!("whole scales from the first on: one of {:?} tokens", scales.ends());
    TokenizerError::Input { what: "tokens", expected, found }
}

impl Tokenizer for TokenFlow {
    fn info(&self) -> &TokenizerInfo {
        &self.info
    }

    fn encode(&self, input: &Input) -> Result<Tokens, TokenizerError> {
        let images = input.images()?;
        let ([batch, channels, height, width], side) = (images.dims(), self.config.image_size);
        if [channels, height, width] != [3, side, side] {
            return Err(TokenizerError::Input {
                what: "pictures",
                expected: format!("[batch, 3, {side}, {side}]"),
                found: format!("{:?}", images.dims()),
            });
        }
        let images = images.clone().to_device(&self.device).mul_scalar(2.0).sub_scalar(1.0);
        let latents = self.network.latents(images, &mut Trace::none());
        let ids = read_ids(self.network.quantize(latents, &mut |_| ()).ids)?;
        Ok(Tokens::new(ids, batch, self.info.layout.clone(), self.info.vocab.clone(), self.info.fingerprint)?)
    }

    /// All tokens, or any number of whole scales from the first on.
    fn decode(&self, tokens: &Tokens, options: &DecodeOptions) -> Result<Output, TokenizerError> {
        let pixels = self.network.pixels(self.sum(tokens, options)?, &mut Trace::none());
        Ok(Output::Images(pixels.add_scalar(1.0).mul_scalar(0.5)))
    }

    /// Pairs of codes, the semantic half first.
    fn embed(&self, tokens: &Tokens) -> Result<Latents, TokenizerError> {
        check_maker(tokens, &self.info, &self.info.layout)?;
        let shape = [tokens.batch(), tokens.positions()];
        let vectors = self.network.quantizer().codes().vectors(upload_ids(tokens.ids(), shape, &self.device));
        let vectors = match tokens.kept() {
            Some(kept) => vectors * upload_mask(kept, shape, &self.device),
            None => vectors,
        };
        Ok(Latents { vectors, layout: tokens.layout().clone() })
    }

    /// Both halves of the sum of all scales, the semantic features that it comes to, and those of the encoder before any code.
    fn item_vectors(&self, input: &Input) -> Result<Vec<(&'static str, Tensor<2>)>, TokenizerError> {
        let sum = self.sum(&self.encode(input)?, &DecodeOptions::default())?;
        let images = input.images()?.clone().to_device(&self.device).mul_scalar(2.0).sub_scalar(1.0);
        let continuous = self.network.semantic_branch().features(images, &mut Trace::none());
        let ([batch, width, rows, columns], semantic) = (sum.dims(), self.config.semantic_code_dim);
        let cells = sum.clone().reshape([batch, width, rows * columns]).swap_dims(1, 2);
        let features = self.network.semantic_features(sum, &mut Trace::none());
        Ok(vec![
            ("semantic codes", side_by_side(cells.clone().narrow(2, 0, semantic))),
            ("semantic codes, mean", mean_over_positions(cells.clone().narrow(2, 0, semantic))),
            ("pixel codes", side_by_side(cells.clone().narrow(2, semantic, width - semantic))),
            ("pixel codes, mean", mean_over_positions(cells.narrow(2, semantic, width - semantic))),
            ("semantic features of tokens, mean", mean_over_positions(features)),
            ("semantic encoder, mean", mean_over_positions(continuous)),
        ])
    }
}
