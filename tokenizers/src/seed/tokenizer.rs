//! SEED behind the [`Tokenizer`] trait.

use burn::tensor::{Device, Tensor, TensorData};
use tessera_layers::checkpoint::{ContentHash, canonical_json};
use tessera_layers::{ParamSpec, Trace};

use super::{PRESETS, SeedConfig, SeedKind, SeedNetwork};
use crate::tensors::{read_ids, upload_ids, upload_mask};
use crate::tokenizer::{check_maker, mean_over_positions, side_by_side};
use crate::{
    DecodeOptions, Fingerprint, Input, InputKind, Latents, LoadError, Output, TokenLayout, Tokenizer, TokenizerError,
    TokenizerInfo, Tokens,
};

/// Mean and deviation of the colours of CLIP's training pictures.
const MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const DEVIATION: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];

/// Pictures `[batch, 3, height, width]` in 0..=1 as SEED's ViT takes them.
pub fn normalise(images: Tensor<4>) -> Tensor<4> {
    let device = images.device();
    let colours = |values: [f32; 3]| Tensor::<4>::from_data(TensorData::new(values.to_vec(), [1, 3, 1, 1]), &device);
    (images - colours(MEAN)) / colours(DEVIATION)
}

/// A SEED tokenizer ready for use. It decodes to features for a diffusion model, never to pictures.
pub struct Seed {
    network: SeedNetwork,
    config: SeedConfig,
    specs: Vec<ParamSpec>,
    info: TokenizerInfo,
    device: Device,
}

impl Seed {
    pub(super) fn new(
        network: SeedNetwork,
        config: SeedConfig,
        specs: Vec<ParamSpec>,
        hash: &ContentHash,
        device: &Device,
    ) -> Result<Self, LoadError> {
        let side = config.encoder.vit.img_size;
        let info = TokenizerInfo {
            architecture: match config.model_type {
                SeedKind::Seed1 => "seed-1",
                SeedKind::Seed2 | SeedKind::Seed2Training => "seed-2",
            },
            preset: PRESETS.into_iter().find(|name| SeedConfig::preset(name).as_ref() == Some(&config)),
            input: InputKind::Images,
            image_size: Some([side, side]),
            patch: config.encoder.vit.patch_size,
            resize: config.resize_filter()?,
            layout: TokenLayout::Ordered { len: u32::try_from(config.encoder.num_query_token).unwrap_or(u32::MAX) },
            vocab: vec![u32::try_from(config.n_embed).unwrap_or(u32::MAX)],
            prefix_decodes: false,
            is_sampled: false,
            parameters: specs.iter().map(|spec| spec.shape.iter().product::<usize>()).sum(),
            fingerprint: Fingerprint(hash.finish(&canonical_json(&config.to_value()))),
        };
        Ok(Self { network, config, specs, info, device: device.clone() })
    }

    /// The network itself.
    pub fn network(&self) -> &SeedNetwork {
        &self.network
    }

    /// Its configuration.
    pub fn config(&self) -> &SeedConfig {
        &self.config
    }

    /// Its parameters by released name.
    pub fn specs(&self) -> &[ParamSpec] {
        &self.specs
    }

    /// Features of tokens, `[batch, rows, channels]`: what [`Tokenizer::decode`] gives.
    ///
    /// # Errors
    /// [`TokenizerError`] if the tokens are another model's, or only a part of what the model needs.
    pub fn features(&self, tokens: &Tokens, options: &DecodeOptions) -> Result<Tensor<3>, TokenizerError> {
        check_maker(tokens, &self.info, &self.info.layout)?;
        let all = tokens.positions();
        let whole = tokens.kept().is_none() && options.keep.is_none_or(|keep| keep == all);
        if !whole {
            return Err(TokenizerError::Input {
                what: "tokens",
                expected: format!("all {all} tokens of each picture (SEED encodes causally but decodes no prefix)"),
                found: "a part of them".to_owned(),
            });
        }
        if tokens.batch() == 0 {
            let [rows, channels] = self.config.features();
            return Ok(Tensor::zeros([0, rows, channels], &self.device));
        }
        Ok(self.network.decode(upload_ids(tokens.ids(), [tokens.batch(), all], &self.device)))
    }
}

impl Tokenizer for Seed {
    fn info(&self) -> &TokenizerInfo {
        &self.info
    }

    fn encode(&self, input: &Input) -> Result<Tokens, TokenizerError> {
        encode(&self.network, &self.config, &self.info, input, &self.device)
    }

    fn decode(&self, tokens: &Tokens, options: &DecodeOptions) -> Result<Output, TokenizerError> {
        Ok(Output::Features(self.features(tokens, options)?))
    }

    fn embed(&self, tokens: &Tokens) -> Result<Latents, TokenizerError> {
        embed(&self.network, &self.info, tokens, &self.device)
    }

    fn item_vectors(&self, input: &Input) -> Result<Vec<(&'static str, Tensor<2>)>, TokenizerError> {
        item_vectors(&self.network, &self.config, input, &self.device)
    }
}

/// Causal embeddings, what is left of them behind the codebook, and the features that these come to.
pub(crate) fn item_vectors(
    network: &SeedNetwork,
    config: &SeedConfig,
    input: &Input,
    device: &Device,
) -> Result<Vec<(&'static str, Tensor<2>)>, TokenizerError> {
    let images = checked(config, input)?.clone().to_device(device);
    let (codec, trace) = (network.codec(), &mut Trace::none());
    let embeddings = network.encoder().forward(normalise(images), trace);
    let ids = codec.quantizer().indices(codec.latents(embeddings.clone()));
    let dequantized = codec.dequantize(codec.quantizer().vectors(ids), trace);
    let features = codec.features(dequantized.clone(), trace);
    Ok(vec![
        ("causal embeddings", side_by_side(embeddings.clone())),
        ("causal embeddings, mean", mean_over_positions(embeddings)),
        ("dequantized tokens", side_by_side(dequantized.clone())),
        ("dequantized tokens, mean", mean_over_positions(dequantized)),
        ("semantic features of tokens", side_by_side(features)),
    ])
}

/// The pictures, of the model's size.
fn checked<'a>(config: &SeedConfig, input: &'a Input) -> Result<&'a Tensor<4>, TokenizerError> {
    let images = input.images()?;
    let [_, channels, height, width] = images.dims();
    let vit = &config.encoder.vit;
    let side = vit.img_size;
    if [channels, height, width] == [3, side, side] && vit.in_chans == 3 {
        return Ok(images);
    }
    Err(TokenizerError::Input {
        what: "pictures",
        expected: format!("[batch, {}, {side}, {side}], and RGB", vit.in_chans),
        found: format!("{:?}", images.dims()),
    })
}

/// Tokens of pictures in 0..=1.
pub(crate) fn encode(
    network: &SeedNetwork,
    config: &SeedConfig,
    info: &TokenizerInfo,
    input: &Input,
    device: &Device,
) -> Result<Tokens, TokenizerError> {
    let images = checked(config, input)?;
    let [batch, ..] = images.dims();
    let ids = match batch {
        0 => Vec::new(),
        _ => read_ids(network.encode(normalise(images.clone().to_device(device))))?,
    };
    Ok(Tokens::new(ids, batch, info.layout.clone(), info.vocab.clone(), info.fingerprint)?)
}

/// Code vectors of tokens.
pub(crate) fn embed(
    network: &SeedNetwork,
    info: &TokenizerInfo,
    tokens: &Tokens,
    device: &Device,
) -> Result<Latents, TokenizerError> {
    check_maker(tokens, info, &info.layout)?;
    let shape = [tokens.batch(), tokens.positions()];
    let vectors = network.codec().quantizer().vectors(upload_ids(tokens.ids(), shape, device));
    let vectors = match tokens.kept() {
        Some(kept) => vectors * upload_mask(kept, shape, device),
        None => vectors,
    };
    Ok(Latents { vectors, layout: tokens.layout().clone() })
}
