//! The proxy tokenizer, MaskGIT-VQGAN.

use burn::tensor::Device;
use tessera_layers::Trace;
use tessera_tokenizers::maskgit_vqgan::{MaskGitVqganConfig, load};
use tessera_tokenizers::{DecodeOptions, Input, Output, Tokenizer as _};

use super::float_input;
use crate::verify::{Case, CaseError, Value, Values};

pub(super) fn run(case: &Case, device: &Device, values: &mut Values) -> Result<(), CaseError> {
    let config = MaskGitVqganConfig::from_value(&case.config)?;
    let model = load(&config, &case.weights()?, device)?;
    let image = float_input::<4>(case, "image", device)?;
    let mut observer = |name: &str, tap| values.tap(&format!("encoder.{name}"), tap);
    let hidden = model.network().latents(image.clone(), &mut Trace::new(&mut observer));
    let [batch, _, height, width] = hidden.dims();
    values.floats("hidden", hidden);

    let tokens = model.encode(&Input::Images(image))?;
    let ids = tokens.ids().iter().copied().map(i64::from).collect();
    values.insert("codes", Value::Integers(vec![batch, height * width], ids));
    let vectors = model.embed(&tokens)?.vectors;
    let [_, _, channels] = vectors.dims();
    values.floats("quantized", vectors.swap_dims(1, 2).reshape([batch, channels, height, width]));
    if let Output::Images(decoded) = model.decode(&tokens, &DecodeOptions::default())? {
        values.floats("reconstruction", decoded.clone().clamp(0.0, 1.0));
        values.floats("decoder_raw", decoded);
    }
    Ok(())
}
