//! [`CodeVectors`]: a tokenizer of ids as a codec of latents, for generators of latents.

use burn::tensor::{Int, Tensor};
use tessera_shaders::nearest_code;
use tessera_tokenizers::{DecodeOptions, Fingerprint, Input, Latents, Output, Tokenizer, TokenizerError, Tokens};

use crate::Error;

/// A tokenizer whose code vectors, scaled to a deviation of one, stand for its ids; of several codes at a position their sum, each of its channels
/// scaled. On the way back each vector becomes the nearest code, or codes.
pub struct CodeVectors {
    tokenizer: Box<dyn Tokenizer>,
    /// `[codes, channels]`, scaled; `None` where several codes stand at a position.
    codebook: Option<Tensor<2>>,
    /// What vectors are multiplied with, `[1, 1, channels]`.
    scale: Tensor<3>,
}

impl CodeVectors {
    /// The code vectors of a tokenizer.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if its vectors cannot be read.
    pub fn new(tokenizer: Box<dyn Tokenizer>) -> Result<Self, Error> {
        let vectors = every_code(&*tokenizer)?;
        let variances = vectors.clone().var_bias(0); // [1, channels]
        let is_one = tokenizer.info().vocab.len() == 1;
        let variances = if is_one { variances.clone().mean_dim(1).expand(variances.dims()) } else { variances };
        // A channel that never changes stays as it is.
        let still = variances.clone().lower_equal_elem(0.0);
        let scale = variances.sqrt().recip().mask_fill(still, 1.0);
        let codebook = is_one.then(|| vectors * scale.clone());
        Ok(Self { tokenizer, codebook, scale: scale.unsqueeze() })
    }

    /// The tokenizer itself.
    pub fn tokenizer(&self) -> &dyn Tokenizer {
        &*self.tokenizer
    }

    /// Channels of a vector.
    pub fn channels(&self) -> usize {
        self.scale.dims()[2]
    }

    /// Scaled code vectors of what the tokenizer takes: pictures, or points on shapes.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if it does not fit.
    pub fn encode(&self, input: &Input) -> Result<Latents, Error> {
        let tokens = self.tokenizer.encode(input)?;
        let latents = self.tokenizer.embed(&tokens)?;
        Ok(Latents { vectors: latents.vectors * self.scale.clone(), layout: latents.layout })
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
        let vectors = latents.vectors.clone().to_device(&self.scale.device());
        let Some(codebook) = &self.codebook else {
            let latents = Latents { vectors: vectors / self.scale.clone(), layout: latents.layout.clone() };
            return Ok(self.tokenizer.nearest(&latents)?);
        };
        let ids: Tensor<1, Int> = nearest_code(vectors.reshape([batch * positions, channels]), codebook.clone());
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

/// The vector of every code, `[codes, channels]`. Where several codes stand at a position, sums in which every code of the largest vocabulary occurs
/// once, with others at the other depths.
fn every_code(tokenizer: &dyn Tokenizer) -> Result<Tensor<2>, Error> {
    let info = tokenizer.info();
    let codes = info.vocab.iter().copied().max().unwrap_or(0);
    let (positions, count) = (info.layout.positions().max(1), usize::try_from(codes).unwrap_or(usize::MAX));
    let items = count.div_ceil(positions);
    // Powers of three shuffle the other depths; the last item is filled up.
    let steps: Vec<u64> =
        info.vocab.iter().scan(1, |step, _| Some(std::mem::replace(step, *step * 3 % (1 << 31)))).collect();
    let position = |at: u32| {
        info.vocab
            .iter()
            .zip(&steps)
            .map(move |(&codes, &step)| u32::try_from(u64::from(at) * step % u64::from(codes.max(1))).unwrap_or(0))
    };
    let ids = (0..codes).chain(std::iter::repeat(0)).take(items * positions).flat_map(position).collect();
    let tokens = Tokens::new(ids, items, info.layout.clone(), info.vocab.clone(), Fingerprint::default());
    let vectors = tokenizer.embed(&tokens.map_err(TokenizerError::from)?)?.vectors;
    let channels = vectors.dims()[2];
    Ok(vectors.reshape([items * positions, channels]).narrow(0, 0, count))
}
