//! VAT behind the [`Tokenizer`] trait.

use burn::tensor::{Device, Tensor};
use tessera_layers::checkpoint::{ContentHash, canonical_json};
use tessera_layers::{ParamSpec, Trace};

use super::refine::{LEAST_PLACES, refined};
use super::{OccupancyField, PRESETS, RefineOptions, Supervision, VatConfig, VatNetwork};
use crate::tensors::{read_ids, upload_ids, upload_mask};
use crate::tokenizer::check_maker;
use crate::{
    DecodeOptions, Fingerprint, Input, InputKind, Latents, Output, ResizeFilter, Tokenizer, TokenizerError,
    TokenizerInfo, Tokens,
};

/// A VAT ready for use.
pub struct Vat {
    network: VatNetwork,
    config: VatConfig,
    specs: Vec<ParamSpec>,
    info: TokenizerInfo,
    device: Device,
}

impl Vat {
    pub(super) fn new(
        network: VatNetwork,
        config: VatConfig,
        specs: Vec<ParamSpec>,
        hash: &ContentHash,
        device: &Device,
    ) -> Self {
        let info = TokenizerInfo {
            architecture: "vat",
            preset: PRESETS.into_iter().find(|name| VatConfig::preset(name).as_ref() == Some(&config)),
            input: InputKind::Points { count: config.input.num_points, with_normals: config.input.use_normals },
            image_size: None,
            patch: 1,
            resize: ResizeFilter::Bicubic,
            layout: config.quantizer.layout(),
            vocab: vec![u32::try_from(config.quantizer.codebook_size).unwrap_or(u32::MAX)],
            prefix_decodes: true,
            is_sampled: false,
            parameters: specs.iter().map(|spec| spec.shape.iter().product::<usize>()).sum(),
            fingerprint: Fingerprint(hash.finish(&canonical_json(&config.to_value()))),
        };
        Self { network, config, specs, info, device: device.clone() }
    }

    /// The network itself.
    pub fn network(&self) -> &VatNetwork {
        &self.network
    }

    /// Its configuration.
    pub fn config(&self) -> &VatConfig {
        &self.config
    }

    /// Its parameters by name.
    pub fn specs(&self) -> &[ParamSpec] {
        &self.specs
    }

    /// Takes the network out, with its parameters' names, for training.
    pub fn into_network(self) -> (VatNetwork, Vec<ParamSpec>) {
        (self.network, self.specs)
    }

    /// The means of the latents of points, `[batch, latents, width]`: what is quantized.
    ///
    /// # Errors
    /// [`TokenizerError::Input`] if the input does not fit the model or holds numbers that are not finite.
    pub fn latents(&self, input: &Input) -> Result<Tensor<3>, TokenizerError> {
        let (points, normals) = self.checked(input)?;
        Ok(self.network.moments(points, normals, &mut Trace::none()).mu)
    }

    fn checked(&self, input: &Input) -> Result<(Tensor<3>, Option<Tensor<3>>), TokenizerError> {
        let with_normals = self.config.input.use_normals;
        let expected = || match with_normals {
            true => "points [batch, n, 3] with normals of the same shape, at least one point".to_owned(),
            false => "points [batch, n, 3], at least one".to_owned(),
        };
        let unfit = |found: String| Err(TokenizerError::Input { what: "input", expected: expected(), found });
        let Input::Points { points, normals } = input else {
            return unfit(input.describe());
        };
        let [_, count, coordinates] = points.dims();
        let normals = normals.as_ref().filter(|_| with_normals);
        let fits = normals.map_or(!with_normals, |normals| normals.dims() == points.dims());
        if count == 0 || coordinates != 3 || !fits {
            return unfit(input.describe());
        }
        let here = |tensor: &Tensor<3>| tensor.clone().to_device(&self.device);
        let (points, normals) = (here(points), normals.map(here));
        for numbers in [Some(&points), normals.as_ref()].into_iter().flatten() {
            // The difference of a number to itself is 0 unless it is not finite.
            let worst = (numbers.clone() - numbers.clone()).abs().max().try_into_data();
            let worst = worst.map_err(|error| TokenizerError::of_device(&error))?.iter::<f32>().next();
            let some = numbers.shape().num_elements() > 0;
            if some && worst != Some(0.0) {
                return unfit("numbers that are not finite".to_owned());
            }
        }
        Ok((points, normals))
    }

    /// The codes of latents.
    fn tokens(&self, latents: Tensor<3>) -> Result<Tokens, TokenizerError> {
        let [batch, ..] = latents.dims();
        let ids = read_ids(self.network.quantizer().quantize(latents).all_ids())?;
        let (layout, vocab) = (self.info.layout.clone(), self.info.vocab.clone());
        Ok(Tokens::new(ids, batch, layout, vocab, self.info.fingerprint)?)
    }

    /// How many scales of each item are there as a whole.
    fn kept_scales(&self, tokens: &Tokens, options: &DecodeOptions) -> Result<Vec<usize>, TokenizerError> {
        let ends: Vec<usize> = self.network.quantizer().ranges().into_iter().map(|range| range.end).collect();
        let (first, all) = (ends.first().copied().unwrap_or(1), tokens.positions());
        let input = |found: String| TokenizerError::Input {
            what: "tokens",
            expected: format!(
                "the first {first} to {all} tokens, the coarsest scale as a whole (scales end at {ends:?})"
            ),
            found,
        };
        let lengths = tokens.prefix_lengths().ok_or_else(|| input("an arbitrary subset".to_owned()))?;
        let wanted = options.keep.unwrap_or(all);
        if wanted > all {
            return Err(input(format!("{wanted} tokens")));
        }
        let scales = |length: usize| match ends.iter().filter(|&&end| end <= length.min(wanted)).count() {
            0 => Err(input(format!("{} tokens", length.min(wanted)))),
            scales => Ok(scales),
        };
        lengths.into_iter().map(scales).collect()
    }

    /// The sums of the kept scales' codes, `[items, latents, width]`.
    fn sums(&self, tokens: &Tokens, kept: &[usize]) -> Tensor<3> {
        let (batch, positions) = (tokens.batch(), tokens.positions());
        let quantizer = self.network.quantizer();
        let ids = upload_ids(tokens.ids(), [batch, positions], &self.device);
        let mut sum = Tensor::zeros([batch, quantizer.latents(), quantizer.channels()], &self.device);
        for (scale, range) in quantizer.ranges().into_iter().enumerate() {
            let marks: Vec<bool> = kept.iter().map(|&kept| scale < kept).collect();
            if marks.contains(&true) {
                let h = quantizer.contribution(ids.clone().narrow(1, range.start, range.len()), scale);
                let h = if marks.contains(&false) { h * upload_mask(&marks, [batch, 1], &self.device) } else { h };
                sum = sum + h;
            }
        }
        sum
    }
}

impl Tokenizer for Vat {
    fn info(&self) -> &TokenizerInfo {
        &self.info
    }

    fn encode(&self, input: &Input) -> Result<Tokens, TokenizerError> {
        self.tokens(self.latents(input)?)
    }

    fn refine(&self, input: &Input, truth: &Supervision, options: &RefineOptions) -> Result<Tokens, TokenizerError> {
        let mu = self.latents(input)?;
        let ([batch, ..], [items, places, coordinates]) = (mu.dims(), truth.points.dims());
        let fits = [items, coordinates] == [batch, 3] && truth.labels.dims() == [batch, places];
        if !fits || truth.volume > places || places < LEAST_PLACES {
            return Err(TokenizerError::Input {
                what: "places",
                expected: format!(
                    "[{batch}, n, 3] with labels [{batch}, n], n from {LEAST_PLACES} on, of which at most n are in the volume"
                ),
                found: format!("{:?} with labels {:?}", truth.points.dims(), truth.labels.dims()),
            });
        }
        let Supervision { points, labels, volume } = truth.clone();
        let (points, labels) = (points.to_device(&self.device), labels.to_device(&self.device));
        let truth = Supervision { points, labels, volume };
        self.tokens(refined(&self.network, mu, &truth, options))
    }

    /// The field of each item. Any prefix decodes that holds the coarsest scale: tokens of a scale that is not there as a whole say
    /// nothing yet. Items may keep different numbers of tokens.
    fn decode(&self, tokens: &Tokens, options: &DecodeOptions) -> Result<Output, TokenizerError> {
        check_maker(tokens, &self.info, &self.info.layout)?;
        let kept = self.kept_scales(tokens, options)?;
        let planes = match kept.is_empty() {
            true => {
                let (channels, side) = (self.config.triplane.out_channels, self.config.plane_side());
                Tensor::zeros([0, 3, channels, side, side], &self.device)
            }
            false => self.network.planes(self.sums(tokens, &kept), &mut Trace::none()),
        };
        Ok(Output::Field(OccupancyField::new(planes, self.network.occupancy().clone())))
    }

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
}
