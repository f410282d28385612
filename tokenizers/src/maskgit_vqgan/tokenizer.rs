//! MaskGIT-VQGAN behind the [`Tokenizer`] trait.

use burn::tensor::Device;
use tessera_layers::checkpoint::{ContentHash, canonical_json};
use tessera_layers::{ParamSpec, Trace};

use super::{MaskGitVqganConfig, PRESET, VqganNetwork};
use crate::tensors::{read_ids, upload_ids, upload_mask};
use crate::tokenizer::check_maker;
use crate::{
    DecodeOptions, Fingerprint, Input, Latents, Output, ResizeFilter, TokenLayout, Tokenizer, TokenizerError,
    TokenizerInfo, Tokens,
};

/// A MaskGIT-VQGAN ready for use: pictures of any size that its patch divides.
pub struct MaskGitVqgan {
    network: VqganNetwork,
    info: TokenizerInfo,
    device: Device,
}

impl MaskGitVqgan {
    pub(super) fn new(
        network: VqganNetwork,
        config: MaskGitVqganConfig,
        specs: &[ParamSpec],
        hash: &ContentHash,
        device: &Device,
    ) -> Self {
        let info = TokenizerInfo {
            architecture: "maskgit-vqgan",
            preset: (config == MaskGitVqganConfig::default()).then_some(PRESET),
            image_size: None,
            patch: config.vqgan.downsampling(),
            resize: ResizeFilter::Bicubic,
            layout: TokenLayout::Grid { height: 1, width: 1 },
            vocab: vec![u32::try_from(config.num_embeddings).unwrap_or(u32::MAX)],
            prefix_decodes: false,
            is_sampled: false,
            parameters: specs.iter().map(|spec| spec.shape.iter().product::<usize>()).sum(),
            fingerprint: Fingerprint(hash.finish(&canonical_json(&config.to_value()))),
        };
        Self { network, info, device: device.clone() }
    }

    /// The network itself.
    pub fn network(&self) -> &VqganNetwork {
        &self.network
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

impl Tokenizer for MaskGitVqgan {
    fn info(&self) -> &TokenizerInfo {
        &self.info
    }

    fn encode(&self, input: &Input) -> Result<Tokens, TokenizerError> {
        let Input::Images(images) = input;
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
        let latents = self.network.latents(images.clone().to_device(&self.device), &mut Trace::none());
        let ids = read_ids(self.network.codes(latents))?;
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
