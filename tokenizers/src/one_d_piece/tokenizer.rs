//! One-D-Piece and TiTok behind the [`Tokenizer`] trait.

use burn::tensor::{Device, Tensor};
use tessera_layers::checkpoint::{ContentHash, canonical_json};
use tessera_layers::{ParamSpec, Trace};

use super::{Family, OneDPieceConfig, OneDPieceNetwork, PRESETS};
use crate::tensors::{read_ids, upload_ids};
use crate::tokenizer::check_maker;
use crate::{
    DecodeOptions, Fingerprint, Input, InputKind, Latents, Output, ResizeFilter, TokenLayout, Tokenizer,
    TokenizerError, TokenizerInfo, Tokens,
};

/// A One-D-Piece or TiTok tokenizer ready for use.
pub struct OneDPiece {
    network: OneDPieceNetwork,
    config: OneDPieceConfig,
    specs: Vec<ParamSpec>,
    info: TokenizerInfo,
    device: Device,
}

impl OneDPiece {
    pub(super) fn new(
        network: OneDPieceNetwork,
        config: OneDPieceConfig,
        specs: Vec<ParamSpec>,
        hash: &ContentHash,
        device: &Device,
    ) -> Self {
        let prefix_decodes = config.family() == Family::OneDPiece;
        let info = TokenizerInfo {
            architecture: if prefix_decodes { "one-d-piece" } else { "titok" },
            preset: PRESETS.into_iter().find(|name| config.is_preset(name)),
            input: InputKind::Images,
            image_size: Some([config.crop_size, config.crop_size]),
            patch: config.vit_enc_patch_size,
            resize: ResizeFilter::Bicubic,
            layout: TokenLayout::Ordered { len: u32::try_from(config.num_latent_tokens).unwrap_or(u32::MAX) },
            vocab: vec![u32::try_from(config.codebook_size).unwrap_or(u32::MAX)],
            prefix_decodes,
            is_sampled: false,
            parameters: specs.iter().map(|spec| spec.shape.iter().product::<usize>()).sum(),
            fingerprint: Fingerprint(hash.finish(&canonical_json(&config.to_value()))),
        };
        Self { network, config, specs, info, device: device.clone() }
    }

    /// The network itself.
    pub fn network(&self) -> &OneDPieceNetwork {
        &self.network
    }

    /// Its configuration.
    pub fn config(&self) -> &OneDPieceConfig {
        &self.config
    }

    /// Its parameters by released name.
    pub fn specs(&self) -> &[ParamSpec] {
        &self.specs
    }

    /// Takes the network out, with its parameters' names, for training.
    pub fn into_network(self) -> (OneDPieceNetwork, Vec<ParamSpec>) {
        (self.network, self.specs)
    }

    /// How many leading tokens of each item are decoded.
    fn lengths(&self, tokens: &Tokens, options: &DecodeOptions) -> Result<Vec<usize>, TokenizerError> {
        let all = self.config.num_latent_tokens;
        let kept = tokens.prefix_lengths().ok_or_else(|| {
            let expected = "the first tokens of each picture".to_owned();
            TokenizerError::Input { what: "tokens", expected, found: "an arbitrary subset".to_owned() }
        })?;
        let wanted = options.keep.unwrap_or(all);
        let fitting = if self.info.prefix_decodes { 1..=all } else { all..=all };
        let expected = if self.info.prefix_decodes {
            format!("1 to {all} tokens for each picture")
        } else {
            format!("all {all} tokens (TiTok decodes no prefix)")
        };
        let input = |found: String| TokenizerError::Input { what: "tokens", expected: expected.clone(), found };
        if !fitting.contains(&wanted) {
            return Err(input(wanted.to_string()));
        }
        let lengths: Vec<usize> = kept.into_iter().map(|length| length.min(wanted)).collect();
        match lengths.iter().find(|length| !fitting.contains(length)) {
            Some(length) => Err(input(length.to_string())),
            None => Ok(lengths),
        }
    }

    /// Decodes the first `keep` ids of the chosen items, `[items, 3, crop, crop]`.
    fn decode_prefix(&self, tokens: &Tokens, items: &[usize], keep: usize) -> Result<Tensor<4>, TokenizerError> {
        let positions = tokens.positions();
        let ids: Vec<u32> =
            items.iter().flat_map(|item| tokens.ids().iter().skip(item * positions).take(keep).copied()).collect();
        let vectors = self.network.quantizer().vectors(upload_ids(&ids, [items.len(), keep], &self.device));
        self.network.decode(vectors, &mut Trace::none()).ok_or_else(|| {
            TokenizerError::Unsupported(
                "this checkpoint is of the first training stage (finetune_decoder false): it predicts proxy codes and \
                 has no decoder to pixels; use a checkpoint of the second stage"
                    .to_owned(),
            )
        })
    }
}

impl Tokenizer for OneDPiece {
    fn info(&self) -> &TokenizerInfo {
        &self.info
    }

    fn encode(&self, input: &Input) -> Result<Tokens, TokenizerError> {
        let images = input.images()?;
        let [batch, channels, height, width] = images.dims();
        let crop = self.config.crop_size;
        if [channels, height, width] != [3, crop, crop] {
            return Err(TokenizerError::Input {
                what: "pictures",
                expected: format!("[batch, 3, {crop}, {crop}]"),
                found: format!("{:?}", images.dims()),
            });
        }
        let ids = read_ids(self.network.encode(images.clone().to_device(&self.device)))?;
        let (layout, vocab) = (self.info.layout.clone(), self.info.vocab.clone());
        Ok(Tokens::new(ids, batch, layout, vocab, self.info.fingerprint)?)
    }

    fn decode(&self, tokens: &Tokens, options: &DecodeOptions) -> Result<Output, TokenizerError> {
        check_maker(tokens, &self.info, &self.info.layout)?;
        let lengths = self.lengths(tokens, options)?;
        let mut groups: Vec<usize> = lengths.clone();
        groups.sort_unstable();
        groups.dedup();
        let (mut order, mut parts) = (Vec::with_capacity(lengths.len()), Vec::with_capacity(groups.len()));
        for length in groups {
            let items: Vec<usize> = (0..lengths.len()).filter(|&item| lengths.get(item) == Some(&length)).collect();
            parts.push(self.decode_prefix(tokens, &items, length)?);
            order.extend(items);
        }
        let crop = self.config.crop_size;
        let images = match parts.len() {
            0 => Tensor::zeros([0, 3, crop, crop], &self.device),
            1 => parts.remove(0),
            _ => {
                let mut place = vec![0_u32; order.len()];
                for (at, item) in (0_u32..).zip(order) {
                    if let Some(place) = place.get_mut(item) {
                        *place = at;
                    }
                }
                let count = place.len();
                let place = upload_ids(&place, [1, count], &self.device).reshape([count]);
                Tensor::cat(parts, 0).select(0, place)
            }
        };
        Ok(Output::Images(images))
    }

    fn embed(&self, tokens: &Tokens) -> Result<Latents, TokenizerError> {
        check_maker(tokens, &self.info, &self.info.layout)?;
        let shape = [tokens.batch(), tokens.positions()];
        let vectors = self.network.quantizer().vectors(upload_ids(tokens.ids(), shape, &self.device));
        let vectors = match tokens.kept() {
            Some(kept) => vectors * crate::tensors::upload_mask(kept, shape, &self.device),
            None => vectors,
        };
        Ok(Latents { vectors, layout: tokens.layout().clone() })
    }
}
