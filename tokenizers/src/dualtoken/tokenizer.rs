//! The tokenizer behind the trait.

use burn::tensor::{Device, Int, Tensor};
use tessera_layers::Trace;

use super::{DualTokenConfig, DualTokenNetwork, SemanticFeatures};
use crate::quantizers::ResidualQuantizer;
use crate::tensors::{read_ids, upload_ids, upload_mask};
use crate::tokenizer::{check_maker, mean_over_positions, side_by_side};
use crate::{DecodeOptions, Input, Latents, Output, Tokenizer, TokenizerError, TokenizerInfo, Tokens};

/// A DualToken ready for use.
pub struct DualToken {
    network: DualTokenNetwork,
    config: DualTokenConfig,
    info: TokenizerInfo,
    device: Device,
}

impl DualToken {
    pub(super) fn new(
        network: DualTokenNetwork,
        config: DualTokenConfig,
        info: TokenizerInfo,
        device: &Device,
    ) -> Self {
        Self { network, config, info, device: device.clone() }
    }

    /// The network itself.
    pub fn network(&self) -> &DualTokenNetwork {
        &self.network
    }

    /// Takes the network out.
    pub fn into_network(self) -> DualTokenNetwork {
        self.network
    }

    /// Its configuration.
    pub fn config(&self) -> &DualTokenConfig {
        &self.config
    }

    /// How many of a position's codes are pixel codes, and how many semantic ones; they stand in this order.
    pub fn depths(&self) -> [usize; 2] {
        [self.network.pixel_quantizer().depth(), self.network.semantic_quantizer().depth()]
    }

    /// The vectors of the codes of each depth `[batch, g^2, depth, channels]`, pixel codes and semantic ones: what a language
    /// model reads, and what its depth transformers predict (paper, section 3.3).
    ///
    /// # Errors
    /// [`TokenizerError`] if the tokens are another model's.
    pub fn embeddings_by_depth(&self, tokens: &Tokens) -> Result<[Tensor<4>; 2], TokenizerError> {
        let [pixel, semantic] = self.codes(tokens)?;
        let flat = |vectors: Tensor<5>| {
            let [batch, rows, columns, depth, channels] = vectors.dims();
            vectors.reshape([batch, rows * columns, depth, channels])
        };
        let pixel = flat(self.network.pixel_quantizer().vectors_by_depth(pixel));
        Ok([pixel, flat(self.network.semantic_quantizer().vectors_by_depth(semantic))])
    }

    /// What the rest of the SigLIP makes of the semantic codes.
    ///
    /// # Errors
    /// [`TokenizerError`] if the tokens are another model's, or a part of them is missing.
    pub fn semantic_features(&self, tokens: &Tokens) -> Result<SemanticFeatures, TokenizerError> {
        self.check_whole(tokens, None)?;
        let [_, semantic] = self.codes(tokens)?;
        let vectors = self.network.semantic_quantizer().vectors(semantic);
        Ok(self.network.semantic_features(vectors, &mut Trace::none()))
    }

    /// Pixel codes and semantic codes `[batch, rows, columns, depth]`.
    fn codes(&self, tokens: &Tokens) -> Result<[Tensor<4, Int>; 2], TokenizerError> {
        check_maker(tokens, &self.info, &self.info.layout)?;
        let ([rows, columns], [pixel, semantic]) = (self.config.code_grid(), self.depths());
        let (batch, all) = (tokens.batch(), pixel + semantic);
        let ids = upload_ids(tokens.ids(), [batch * rows * columns, all], &self.device);
        let ids = ids.reshape([batch, rows, columns, all]);
        Ok([ids.clone().narrow(3, 0, pixel), ids.narrow(3, pixel, semantic)])
    }

    /// Tokens of pixel codes and semantic ones `[batch, rows, columns, depth]`.
    fn tokens(&self, codes: Vec<Tensor<4, Int>>) -> Result<Tokens, TokenizerError> {
        let codes = Tensor::cat(codes, 3);
        let [batch, rows, columns, all] = codes.dims();
        let ids = read_ids(codes.reshape([batch * rows * columns, all]))?;
        Ok(Tokens::new(ids, batch, self.info.layout.clone(), self.info.vocab.clone(), self.info.fingerprint)?)
    }

    fn check_whole(&self, tokens: &Tokens, keep: Option<usize>) -> Result<(), TokenizerError> {
        let positions = tokens.positions();
        if tokens.kept().is_none() && keep.is_none_or(|keep| keep == positions) {
            return Ok(());
        }
        let expected = format!("all {positions} positions of the grid");
        Err(TokenizerError::Input { what: "tokens", expected, found: "a part of them".to_owned() })
    }
}

impl Tokenizer for DualToken {
    fn info(&self) -> &TokenizerInfo {
        &self.info
    }

    /// `pixel 1`, `pixel 2` ..., then `semantic 1`, `semantic 2` ...
    fn depth_names(&self) -> Vec<String> {
        let [pixel, semantic] = self.depths();
        let names = |kind: &'static str, depth: usize| (1..=depth).map(move |at| format!("{kind} {at}"));
        names("pixel", pixel).chain(names("semantic", semantic)).collect()
    }

    fn encode(&self, input: &Input) -> Result<Tokens, TokenizerError> {
        let images = input.images()?;
        let ([_, channels, height, width], side) = (images.dims(), self.config.image_size());
        if [channels, height, width] != [3, side, side] {
            return Err(TokenizerError::Input {
                what: "pictures",
                expected: format!("[batch, 3, {side}, {side}]"),
                found: format!("{:?}", images.dims()),
            });
        }
        let images = images.clone().to_device(&self.device).mul_scalar(2.0).sub_scalar(1.0);
        let latents = self.network.latents(images, &mut Trace::none());
        let pixel = self.network.pixel_quantizer().forward(latents.pixel).codes;
        let semantic = self.network.semantic_quantizer().forward(latents.semantic).codes;
        self.tokens(vec![pixel, semantic])
    }

    /// From the pixel codes alone.
    fn decode(&self, tokens: &Tokens, options: &DecodeOptions) -> Result<Output, TokenizerError> {
        self.check_whole(tokens, options.keep)?;
        let [pixel, _] = self.codes(tokens)?;
        let pixels = self.network.pixels(self.network.pixel_quantizer().vectors(pixel), &mut Trace::none());
        Ok(Output::Images(pixels.add_scalar(1.0).mul_scalar(0.5)))
    }

    /// The sum of a position's pixel codes, and behind it that of its semantic codes.
    fn embed(&self, tokens: &Tokens) -> Result<Latents, TokenizerError> {
        let shape = [tokens.batch(), tokens.positions()];
        let sums = self.embeddings_by_depth(tokens)?.map(|vectors| vectors.sum_dim(2).squeeze_dim(2));
        let vectors: Tensor<3> = Tensor::cat(sums.to_vec(), 2);
        let vectors = match tokens.kept() {
            Some(kept) => vectors * upload_mask(kept, shape, &self.device),
            None => vectors,
        };
        Ok(Latents { vectors, layout: tokens.layout().clone() })
    }

    /// Depth by depth, as pictures are encoded.
    fn nearest(&self, latents: &Latents) -> Result<Tokens, TokenizerError> {
        let ([rows, columns], [batch, positions, channels]) = (self.config.code_grid(), latents.vectors.dims());
        let quantizers = [self.network.pixel_quantizer(), self.network.semantic_quantizer()];
        let [pixel, semantic] = quantizers.map(ResidualQuantizer::width);
        if latents.layout != self.info.layout || positions != rows * columns || channels != pixel + semantic {
            return Err(TokenizerError::Input {
                what: "vectors",
                expected: format!("{} of {} channels", self.info.layout, pixel + semantic),
                found: format!("{} of {channels} channels", latents.layout),
            });
        }
        let vectors = latents.vectors.clone().to_device(&self.device).reshape([batch, rows, columns, channels]);
        let parts = [vectors.clone().narrow(3, 0, pixel), vectors.narrow(3, pixel, semantic)];
        self.tokens(quantizers.into_iter().zip(parts).map(|(quantizer, part)| quantizer.nearest(part)).collect())
    }

    /// Both kinds of codes, and the features that the rest of the SigLIP makes of the semantic ones.
    fn item_vectors(&self, input: &Input) -> Result<Vec<(&'static str, Tensor<2>)>, TokenizerError> {
        let tokens = self.encode(input)?;
        let [pixel, semantic] =
            self.embeddings_by_depth(&tokens)?.map(|vectors| -> Tensor<3> { vectors.sum_dim(2).squeeze_dim(2) });
        Ok(vec![
            ("semantic codes", side_by_side(semantic.clone())),
            ("semantic codes, mean", mean_over_positions(semantic)),
            ("pixel codes", side_by_side(pixel.clone())),
            ("pixel codes, mean", mean_over_positions(pixel)),
            ("semantic features of tokens", self.semantic_features(&tokens)?.pooled),
        ])
    }
}
