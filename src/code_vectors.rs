//! [`CodeVectors`]: a tokenizer of ids as a codec of latents, for generators of latents.

use burn::tensor::{Int, Tensor};
use tessera_shaders::nearest_code;
use tessera_tokenizers::{DecodeOptions, Fingerprint, Input, Latents, Output, Tokenizer, TokenizerError, Tokens};

use crate::Error;

/// A tokenizer whose code vectors, scaled to a deviation of one, stand for its ids. On the way back each vector becomes the nearest
/// code.
pub struct CodeVectors {
    tokenizer: Box<dyn Tokenizer>,
    /// `[codes, channels]`, scaled.
    codebook: Tensor<2>,
    scale: f64,
}

impl CodeVectors {
    /// The code vectors of a tokenizer.
    ///
    /// # Errors
    /// [`Error::Unfit`] for one with several codes at a position; [`Error::Tokenizer`] if its vectors cannot be read.
    pub fn new(tokenizer: Box<dyn Tokenizer>) -> Result<Self, Error> {
        let codebook = codebook(&*tokenizer)?;
        let spread = codebook.clone().var_bias(0).mean().into_data().iter::<f32>().next().unwrap_or(1.0).sqrt();
        let scale = if spread > 0.0 { 1.0 / f64::from(spread) } else { 1.0 };
        Ok(Self { tokenizer, codebook: codebook.mul_scalar(scale), scale })
    }

    /// The tokenizer itself.
    pub fn tokenizer(&self) -> &dyn Tokenizer {
        &*self.tokenizer
    }

    /// Channels of a vector.
    pub fn channels(&self) -> usize {
        self.codebook.dims()[1]
    }

    /// Scaled code vectors of what the tokenizer takes: pictures, or points on shapes.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if it does not fit.
    pub fn encode(&self, input: &Input) -> Result<Latents, Error> {
        let tokens = self.tokenizer.encode(input)?;
        let latents = self.tokenizer.embed(&tokens)?;
        Ok(Latents { vectors: latents.vectors.mul_scalar(self.scale), layout: latents.layout })
    }

    /// The tokens nearest to scaled vectors.
    ///
    /// # Errors
    /// [`Error::Unfit`] if the vectors have other channels; [`Error::Tokenizer`] if there are not as many as the layout says.
    pub fn tokens(&self, latents: &Latents) -> Result<Tokens, Error> {
        let [batch, positions, channels] = latents.vectors.dims();
        if channels != self.channels() {
            let expected = self.channels();
            return Err(Error::Unfit(format!("code vectors of {expected} channels were expected, found {channels}")));
        }
        let vectors = latents.vectors.clone().to_device(&self.codebook.device());
        let ids: Tensor<1, Int> = nearest_code(vectors.reshape([batch * positions, channels]), self.codebook.clone());
        let ids = ids.into_data().iter::<i64>().map(|id| u32::try_from(id).unwrap_or(0)).collect();
        let info = self.tokenizer.info();
        let tokens = Tokens::new(ids, batch, latents.layout.clone(), info.vocab.clone(), info.fingerprint);
        Ok(tokens.map_err(TokenizerError::from)?)
    }

    /// Pictures of scaled vectors.
    ///
    /// # Errors
    /// As [`CodeVectors::tokens`], or if the tokenizer cannot decode them.
    pub fn decode(&self, latents: &Latents, options: &DecodeOptions) -> Result<Output, Error> {
        Ok(self.tokenizer.decode(&self.tokens(latents)?, options)?)
    }
}

/// The vector of every code, `[codes, channels]`.
fn codebook(tokenizer: &dyn Tokenizer) -> Result<Tensor<2>, Error> {
    let info = tokenizer.info();
    let &[codes] = info.vocab.as_slice() else {
        return Err(Error::Unfit(format!(
            "a generator of latents takes code vectors of one code at a position, this tokenizer has {}",
            info.vocab.len()
        )));
    };
    let (positions, count) = (info.layout.positions().max(1), usize::try_from(codes).unwrap_or(usize::MAX));
    let items = count.div_ceil(positions);
    // Every id once; the last item is filled up.
    let ids = (0..codes).chain(std::iter::repeat(0)).take(items * positions).collect();
    let tokens = Tokens::new(ids, items, info.layout.clone(), info.vocab.clone(), Fingerprint::default());
    let vectors = tokenizer.embed(&tokens.map_err(TokenizerError::from)?)?.vectors;
    let channels = vectors.dims()[2];
    Ok(vectors.reshape([items * positions, channels]).narrow(0, 0, count))
}
