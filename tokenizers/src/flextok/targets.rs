//! The classes that a FlexTok configuration may name, and the order of its modules.
//!
//! In the reference a name is a Python class that is looked up and called. Here it is a word on this list or an error.

use serde_json::Value;

use crate::ConfigError;

/// A module of one of the two chains: its key and its class.
pub(super) type Module = (&'static str, &'static str);

/// Class of the whole model.
pub(super) const FLEXTOK: &str = "flextok.flextok_wrapper.FlexTok";
/// Class of the autoencoder's section.
pub(super) const VAE: &str = "flextok.vae_wrapper.StableDiffusionVAE";
/// Class of the encoder's and decoder's sections.
pub(super) const CHAIN: &str = "flextok.model.utils.wrappers.SequentialModuleDictWrapper";
/// Class of the quantizer.
pub(super) const FSQ: &str = "flextok.regularizers.quantize_fsq.FSQ";
/// Class of the noise.
pub(super) const NOISE: &str = "flextok.flow_matching.noise_modules.MinRFNoiseModule";
/// Class of the sampler.
pub(super) const PIPELINE: &str = "flextok.flow_matching.pipelines.MinRFPipeline";

const PER_SAMPLE: &str = "flextok.model.utils.dict_ops.PerSampleOp";
const PATCHES: &str = "flextok.model.preprocessors.patching.PatchEmbedder";
const POSITIONS: &str = "flextok.model.utils.posembs.PositionalEmbeddingAdder";
const PACKER: &str = "flextok.model.preprocessors.flex_seq_packing.BlockWiseSequencePacker";
const TRANSFORMER: &str = "flextok.model.trunks.transformers.FlexTransformer";
const UNPACKER: &str = "flextok.model.postprocessors.seq_unpacking.SequenceUnpacker";

/// The encoder's modules, in the order in which they run.
pub(super) const ENCODER: [Module; 8] = [
    ("enc_channels_to_last", PER_SAMPLE),
    ("enc_patch_emb", PATCHES),
    ("enc_posemb_module", POSITIONS),
    ("enc_register_module", "flextok.model.preprocessors.registers.Registers1D"),
    ("enc_seq_packer", PACKER),
    ("enc_transformer", TRANSFORMER),
    ("enc_unpacker", UNPACKER),
    ("enc_to_latents", "flextok.model.postprocessors.heads.LinearHead"),
];

/// The decoder's modules, in the order in which they run.
pub(super) const DECODER: [Module; 13] = [
    ("dec_from_latents", "flextok.model.preprocessors.linear.LinearLayer"),
    ("dec_registers_posemb_module", POSITIONS),
    ("dec_nested_dropout", "flextok.model.preprocessors.token_dropout.MaskedNestedDropout"),
    ("dec_latent_dropout", "flextok.model.preprocessors.nullcond.LearnedNullCond"),
    ("dec_noise_channels_to_last", PER_SAMPLE),
    ("dec_noise_patch_emb", PATCHES),
    ("dec_patches_posemb_module", POSITIONS),
    ("dec_seq_packer", PACKER),
    ("dec_time_embedder", "flextok.model.preprocessors.time_embedding.TimestepEmbedder"),
    ("dec_transformer", TRANSFORMER),
    ("dec_unpacker", UNPACKER),
    ("dec_to_patches", "flextok.model.postprocessors.heads.ToPatchesLinearHead"),
    ("dec_channels_to_first", PER_SAMPLE),
];

/// The functions that a section may name.
pub(super) const TO_LAST: &str = "flextok.model.utils.dict_ops.channels_first_to_last";
/// See [`TO_LAST`].
pub(super) const TO_FIRST: &str = "flextok.model.utils.dict_ops.channels_last_to_first";

/// Keys in an order in which the reference could run them, for writing.
pub(super) fn order() -> Vec<&'static str> {
    let modules = ENCODER.iter().chain(&DECODER).map(|(key, _)| *key);
    std::iter::once("_target_").chain(modules).collect()
}

/// Refuses every class or function that is not on the list, wherever it stands.
pub(super) fn check(value: &Value) -> Result<(), ConfigError> {
    match value {
        Value::Array(items) => items.iter().try_for_each(check),
        Value::Object(entries) => entries.iter().try_for_each(|(key, value)| match (key.as_str(), value) {
            ("_target_", Value::String(name)) if is_known(name) => Ok(()),
            ("_target_", other) => Err(ConfigError::invalid(
                "_target_",
                "a class of FlexTok's released configurations",
                other.to_string().chars().take(100).collect::<String>(),
            )),
            _ => check(value),
        }),
        _ => Ok(()),
    }
}

fn is_known(name: &str) -> bool {
    let single = [FLEXTOK, VAE, CHAIN, FSQ, NOISE, PIPELINE, TO_LAST, TO_FIRST];
    single.contains(&name) || ENCODER.iter().chain(&DECODER).any(|(_, class)| *class == name)
}
