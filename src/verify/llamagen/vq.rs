//! The VQ tokenizer: encoding, decoding, and the quantizer's losses.

use burn::tensor::Device;
use tessera_layers::Trace;
use tessera_tokenizers::grid::GridNetwork as _;
use tessera_tokenizers::llamagen_vq::{LlamaGenVqConfig, LlamaGenVqNetwork, entropy_loss, load};

use crate::verify::inputs::float_input;
use crate::verify::{Case, CaseError, Value, Values};

pub(super) fn run(case: &Case, device: &Device, values: &mut Values) -> Result<(), CaseError> {
    let config = LlamaGenVqConfig::from_value(&case.config)?;
    let (tokenizer, _) = load(&config, &case.weights()?, device)?;
    let network = tokenizer.network();
    let image = float_input::<4>(case, "image", device)?;
    let ([rows, channels, height, width], patch) = (image.dims(), config.downsampling());
    if channels != 3 || !height.is_multiple_of(patch) || !width.is_multiple_of(patch) || height * width == 0 {
        let expected = format!("[batch, 3, height, width] with sides divisible by {patch}");
        return Err(CaseError::input("input \"image\"", expected, format!("{:?}", image.dims())));
    }
    let latents = network.latents(image, &mut Trace::new(&mut |name, tap| values.tap(name, tap)));
    values.floats("pre_quant", latents.clone());
    let [_, _, height, width] = latents.dims();
    let sequence = LlamaGenVqNetwork::sequence(latents);
    let quantized = network.quantizer().forward(sequence.clone());
    let ids: Vec<i64> = quantized.indices.clone().into_data().iter().collect();
    values.insert("tokens", Value::Integers(vec![rows, height, width], ids));
    let vectors = LlamaGenVqNetwork::map(quantized.vectors, [height, width]);
    values.floats("dequantized", vectors.clone());
    let pixels = network.pixels(vectors, &mut Trace::new(&mut |name, tap| values.tap(name, tap)));
    values.floats("reconstruction", pixels);
    let again = network.code_vectors(quantized.indices, [height, width]);
    values.floats("reconstruction_from_tokens", network.pixels(again, &mut Trace::none()));
    values.floats("train.vq_loss", quantized.codebook_loss);
    values.floats("train.commit_loss", quantized.commitment_loss);
    values.floats("train.entropy_loss_ratio1", entropy_loss(network, sequence));
    Ok(())
}
