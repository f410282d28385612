//! Writing a FlexTok configuration as its releases carry it, wiring and all.

use serde_json::{Value, json};

use super::config::{FlexTokConfig, LatentConfig, MupReadout, RegisterMix, SamplingConfig, TrunkConfig};
use super::targets::{CHAIN, DECODER, ENCODER, FLEXTOK, FSQ, Module, NOISE, PIPELINE, TO_FIRST, TO_LAST, VAE};
use crate::autoencoder_kl;

impl FlexTokConfig {
    /// The configuration as a released file writes it.
    pub fn to_value(&self) -> Value {
        let (encoder, decoder) = (&self.encoder, &self.decoder);
        let channels = self.vae.architecture.channels();
        let positions = |trunk: &TrunkConfig, read: &str, write: &str| {
            json!({
                "_target_": class(&ENCODER, "enc_posemb_module"), "read_key": read, "write_key": write, "dim": trunk.dim,
                "max_sizes": trunk.max_sizes, "posemb_type": "sincos", "posemb_scaling": "absolute",
            })
        };
        let patches = |trunk: &TrunkConfig, read: &str, write: &str, count: &str| {
            json!({
                "_target_": class(&ENCODER, "enc_patch_emb"), "input_tensor_list_read_key": read,
                "patches_list_write_key": write, "n_patches_write_key": count, "channels_in": channels, "dim": trunk.dim,
                "patch_sizes": trunk.patch, "flatten_patches": false,
            })
        };
        let turn = |read: &str, write: &str, function: &str| {
            json!({
                "_target_": class(&ENCODER, "enc_channels_to_last"), "read_key": read, "write_key": write,
                "per_sample_op": { "_target_": function, "_partial_": true },
            })
        };
        let packer = |kind: &str, inputs: [&str; 2], mask: &str| {
            json!({
                "_target_": class(&ENCODER, "enc_seq_packer"), "input_list_read_keys": inputs,
                "packed_seq_write_key": format!("{kind}_packed_seq"),
                "block_mask_write_key": format!("{kind}_block_mask"),
                "inner_packed_shapes_write_key": format!("{kind}_ps_inner"),
                "outer_packed_shapes_write_key": format!("{kind}_ps_outer"), "mask_mode": mask, "pad_to_multiple": 128,
            })
        };
        let trunk = |kind: &str, trunk: &TrunkConfig| {
            json!({
                "_target_": class(&ENCODER, "enc_transformer"), "dim": trunk.dim, "depth": trunk.depth,
                "head_dim": trunk.head_dim, "input_seq_read_key": format!("{kind}_packed_seq"),
                "output_seq_write_key": format!("{kind}_packed_seq"),
                "block_mask_read_key": format!("{kind}_block_mask"), "use_act_checkpoint": true,
            })
        };
        let unpacker = |kind: &str, outputs: [&str; 2]| {
            json!({
                "_target_": class(&ENCODER, "enc_unpacker"), "packed_seq_read_key": format!("{kind}_packed_seq"),
                "inner_seq_write_keys": outputs, "inner_packed_shapes_read_key": format!("{kind}_ps_inner"),
                "outer_packed_shapes_read_key": format!("{kind}_ps_outer"),
            })
        };
        let mut dec_packer = packer(
            "dec",
            ["dec_patches", "dec_registers_proj"],
            if decoder.is_causal { "causal_last" } else { "full" },
        );
        dec_packer["emb_packing_fn_write_key"] = json!("emb_packing_fn");
        dec_packer["per_subseq_embs"] = json!(true);
        let mut dec_trunk = trunk("dec", decoder);
        dec_trunk["adaLN_emb_read_key"] = json!("dec_temb");
        dec_trunk["adaLN_packing_fn_read_key"] = json!("emb_packing_fn");
        dec_trunk["adaLN_expansion"] = json!(2);
        let to_latents = json!({
            "_target_": class(&ENCODER, "enc_to_latents"), "read_key": "enc_registers", "write_key": "enc_registers",
            "dim": encoder.dim, "dim_out": self.levels.len(), "weight_init_style": "zero", "dtype_override": null,
        });
        let to_patches = json!({
            "_target_": class(&DECODER, "dec_to_patches"), "read_key": "dec_patches", "write_key": "dec_patches",
            "dim": decoder.dim, "channels_out": channels, "patch_sizes": decoder.patch, "weight_init_style": "zero",
            "adaLN_emb_read_key": "dec_temb",
        });
        let mut document = json!({
            "_target_": FLEXTOK,
            "vae": {
                "_target_": VAE, "images_read_key": "rgb", "vae_latents_read_key": "vae_latents_reconst",
                "vae_latents_write_key": "vae_latents", "images_reconst_write_key": "rgb_reconst",
                "vae_kl_loss_write_key": "vae_kl_loss", "dtype_override": "fp32",
                "scaling_factor": self.vae.scaling_factor, "sample_posterior": self.vae.sample_posterior,
                "force_vae_encode": false, "frozen": true, "hf_hub_path": null,
            },
            "encoder": { "_target_": CHAIN, "module_dict": {
                "enc_channels_to_last": turn("vae_latents", "vae_latents_bhwc", TO_LAST),
                "enc_patch_emb": patches(encoder, "vae_latents_bhwc", "enc_vae_latents_patched", "enc_n_patches"),
                "enc_posemb_module": positions(encoder, "enc_vae_latents_patched", "enc_vae_latents_patched"),
                "enc_register_module": {
                    "_target_": class(&ENCODER, "enc_register_module"),
                    "input_tensor_list_read_key": "enc_vae_latents_patched",
                    "register_sizes_read_write_key": "register_sizes", "registers_write_key": "enc_registers",
                    "dim": encoder.dim, "n_min": self.registers, "n_max": self.registers,
                    "size_sampling_mode": "uniform", "ordering_mode": "nested",
                },
                "enc_seq_packer":
                    packer("enc", ["enc_vae_latents_patched", "enc_registers"], if encoder.is_causal { "causal_last" } else { "full" }),
                "enc_transformer": trunk("enc", encoder),
                "enc_unpacker": unpacker("enc", ["enc_vae_latents_patched", "enc_registers"]),
                "enc_to_latents": with_mup(to_latents, encoder.mup),
            } },
            "decoder": { "_target_": CHAIN, "module_dict": {
                "dec_from_latents": {
                    "_target_": class(&DECODER, "dec_from_latents"), "read_key": "enc_registers_quant",
                    "write_key": "dec_registers_proj", "dim_in": self.levels.len(), "dim": decoder.dim,
                },
                "dec_registers_posemb_module": {
                    "_target_": class(&DECODER, "dec_registers_posemb_module"), "read_key": "dec_registers_proj",
                    "write_key": "dec_registers_proj", "dim": decoder.dim, "max_sizes": [self.registers],
                    "posemb_type": "learnable_sum", "posemb_scaling": "absolute",
                },
                "dec_nested_dropout": {
                    "_target_": class(&DECODER, "dec_nested_dropout"), "read_write_key": "dec_registers_proj",
                    "dim": decoder.dim, "size_sampling_mode": self.keep.name(),
                },
                "dec_latent_dropout": {
                    "_target_": class(&DECODER, "dec_latent_dropout"), "read_write_key": "dec_registers_proj",
                    "dim": decoder.dim, "dropout_prob": self.null_probability,
                },
                "dec_noise_channels_to_last": turn("vae_latents_noised", "vae_latents_noised_bhwc", TO_LAST),
                "dec_noise_patch_emb":
                    patches(decoder, "vae_latents_noised_bhwc", "vae_latents_noised_patched", "dec_n_patches"),
                "dec_patches_posemb_module": positions(decoder, "vae_latents_noised_patched", "dec_patches"),
                "dec_seq_packer": dec_packer,
                "dec_time_embedder": {
                    "_target_": class(&DECODER, "dec_time_embedder"), "timesteps_read_key": "timesteps",
                    "time_embedding_write_key": "dec_temb", "dim": decoder.dim,
                    "frequency_embedding_size": self.time_frequencies, "max_timestep": self.max_timestep,
                },
                "dec_transformer": dec_trunk,
                "dec_unpacker": unpacker("dec", ["dec_patches", "dec_registers_proj"]),
                "dec_to_patches": with_mup(to_patches, decoder.mup),
                "dec_channels_to_first": turn("dec_patches", "vae_latents_reconst", TO_FIRST),
            } },
            "regularizer": {
                "_target_": FSQ, "latents_read_key": "enc_registers", "quants_write_key": "enc_registers_quant",
                "tokens_write_key": "tokens", "levels": self.levels, "drop_quant_p": self.drop_quant_p,
            },
            "flow_matching_noise_module": {
                "_target_": NOISE, "clean_images_read_key": "vae_latents", "noised_images_write_key": "vae_latents_noised",
                "timesteps_write_key": "timesteps", "sigmas_write_key": "sigmas", "ln": self.noise.logit_normal,
                "stratisfied": self.noise.stratified, "mode_scale": self.noise.mode_scale,
            },
            "pipeline": {
                "_target_": PIPELINE, "_partial_": true, "target_sizes_read_key": null,
                "latents_read_key": "enc_registers_quant", "timesteps_read_key": "timesteps",
                "noised_images_read_key": "vae_latents_noised", "reconst_write_key": "vae_latents_reconst",
                "out_channels": channels,
            },
        });
        if self.vae.architecture != LatentConfig::AutoencoderKl(autoencoder_kl::flextok(channels)) {
            document["vae"]["architecture"] = self.vae.architecture.to_value();
        }
        if self.register_mix == Some(RegisterMix::Dct) {
            document["register_mix"] = json!("dct");
        }
        if self.sampling != SamplingConfig::default() {
            let SamplingConfig { steps, guidance, projected } = self.sampling;
            document["sampling"] = json!({ "steps": steps, "guidance": guidance, "projected": projected });
        }
        document
    }
}

fn with_mup(mut head: Value, mup: Option<MupReadout>) -> Value {
    head["use_mup_readout"] = json!(mup.is_some());
    if let Some(MupReadout { output_mult, width_mult }) = mup {
        head["output_mult"] = json!(output_mult);
        head["width_mult"] = json!(width_mult);
    }
    head
}

fn class(modules: &[Module], key: &str) -> &'static str {
    modules.iter().find(|(name, _)| *name == key).map_or("", |(_, class)| class)
}
