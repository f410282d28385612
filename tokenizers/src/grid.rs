//! Tokenizers of grids of codes behind the [`Tokenizer`] trait: pictures of any size that their patch divides.

use burn::tensor::{Device, Int, Tensor};
use tessera_layers::Trace;

use crate::tensors::{read_ids, upload_ids, upload_mask};
use crate::tokenizer::check_maker;
use crate::{DecodeOptions, Input, Latents, Output, TokenLayout, Tokenizer, TokenizerError, TokenizerInfo, Tokens};

/// A convolutional network with one code for each cell of a grid.
pub trait GridNetwork: Send + Sync {
    /// Pictures `[batch, 3, H, W]` in 0..=1 to codes `[batch, h * w]`, row by row.
    fn encode(&self, images: Tensor<4>) -> Tensor<2, Int>;

    /// Codes `[batch, h * w]` to code vectors `[batch, z, h, w]`.
    fn code_vectors(&self, codes: Tensor<2, Int>, grid: [usize; 2]) -> Tensor<4>;

    /// Code vectors `[batch, z, h, w]` to pictures, nominally in 0..=1 and not clamped.
    fn decode(&self, vectors: Tensor<4>, trace: &mut Trace) -> Tensor<4>;
}

/// A network of grids ready for use.
pub struct GridTokenizer<N> {
    network: N,
    info: TokenizerInfo,
    device: Device,
}

impl<N> GridTokenizer<N> {
    pub(crate) fn new(network: N, info: TokenizerInfo, device: &Device) -> Self {
        Self { network, info, device: device.clone() }
    }

    /// The network itself.
    pub fn network(&self) -> &N {
        &self.network
    }

    /// Takes the network out.
    pub fn into_network(self) -> N {
        self.network
    }

    /// Rows and columns of the tokens' grid.
    fn grid(&self, tokens: &Tokens) -> Result<[usize; 2], TokenizerError> {
        check_maker(tokens, &self.info, tokens.layout())?;
        let side = |cells: u32| usize::try_from(cells).unwrap_or(usize::MAX);
        match tokens.layout() {
            TokenLayout::Grid { height, width } => Ok([side(*height), side(*width)]),
            other => Err(TokenizerError::Input {
                what: "token layout",
                expected: "a grid".to_owned(),
                found: other.to_string(),
            }),
        }
    }
}

impl<N: GridNetwork> Tokenizer for GridTokenizer<N> {
    fn info(&self) -> &TokenizerInfo {
        &self.info
    }

    fn encode(&self, input: &Input) -> Result<Tokens, TokenizerError> {
        let images = input.images()?;
        let [batch, channels, height, width] = images.dims();
        let patch = self.info.patch;
        let fits = channels == 3 && height > 0 && width > 0 && height % patch == 0 && width % patch == 0;
        if !fits {
            return Err(TokenizerError::Input {
                what: "pictures",
                expected: format!("[batch, 3, height, width] with sides divisible by {patch}"),
                found: format!("{:?}", images.dims()),
            });
        }
        let ids = read_ids(self.network.encode(images.clone().to_device(&self.device)))?;
        let cells = |side: usize| u32::try_from(side / patch).unwrap_or(u32::MAX);
        let layout = TokenLayout::Grid { height: cells(height), width: cells(width) };
        Ok(Tokens::new(ids, batch, layout, self.info.vocab.clone(), self.info.fingerprint)?)
    }

    fn decode(&self, tokens: &Tokens, options: &DecodeOptions) -> Result<Output, TokenizerError> {
        let [height, width] = self.grid(tokens)?;
        let cells = height * width;
        let all_kept = tokens.kept().is_none() && options.keep.is_none_or(|keep| keep == cells);
        if !all_kept {
            return Err(TokenizerError::Input {
                what: "tokens",
                expected: format!("all {cells} tokens of the grid"),
                found: "a part of them".to_owned(),
            });
        }
        let ids = upload_ids(tokens.ids(), [tokens.batch(), cells], &self.device);
        let vectors = self.network.code_vectors(ids, [height, width]);
        Ok(Output::Images(self.network.decode(vectors, &mut Trace::none())))
    }

    fn embed(&self, tokens: &Tokens) -> Result<Latents, TokenizerError> {
        let [height, width] = self.grid(tokens)?;
        let shape = [tokens.batch(), height * width];
        let vectors = self.network.code_vectors(upload_ids(tokens.ids(), shape, &self.device), [height, width]);
        let [batch, channels, _, _] = vectors.dims();
        let vectors = vectors.reshape([batch, channels, height * width]).swap_dims(1, 2);
        let vectors = match tokens.kept() {
            Some(kept) => vectors * upload_mask(kept, shape, &self.device),
            None => vectors,
        };
        Ok(Latents { vectors, layout: tokens.layout().clone() })
    }
}
