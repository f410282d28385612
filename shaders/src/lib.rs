//! Kernels of tessera: each operation as a WGSL shader, a CPU twin, and a tensor-op reference.
//!
//! | operation | what it does | beside it |
//! |---|---|---|
//! | [`nearest_code`] | index of the closest codebook row, without the `[n, vocab]` matrix | [`nearest_code_reference`] |
//! | [`patchify`] / [`unpatchify`] | picture to patch vectors and back, each the other's gradient | [`patchify_reference`] / [`unpatchify_reference`] |
//! | [`conv3x3`] / [`conv3x3_doubled`] / [`conv3x3_halved`] | 3x3 convolution, of the picture, of its enlargement by two, or with stride 2 (CPU only) | [`conv3x3_reference`] / [`conv3x3_doubled_reference`] / [`conv3x3_halved_reference`] |
//! | [`gelu`] | exact GELU (CPU only) | [`gelu_reference`] |
//! | [`fsq`] / [`fsq_codes`] | quantizer of fixed levels: codes and indices, and codes of indices | [`fsq_reference`] / [`fsq_codes_reference`] |
//! | [`gated_add`] | gated residual (CPU only) | [`gated_add_reference`] |
//! | [`inverted_residual`] | MobileNet's block with frozen weights (CPU only) | [`inverted_residual_reference`] |
//! | [`layer_norm`] | layer normalisation (CPU only) | [`layer_norm_reference`] |
//! | [`linear`] | fully connected layer (CPU only) | [`linear_reference`] |
//! | [`masked_attention`] | attention under a mask that is computed from indices and never stored | [`masked_attention_reference`] |
//! | [`modulated_norm`] | adaptive layer normalisation | [`modulated_norm_reference`] |
//! | [`norm`] | layer normalisation without parameters (CPU only) | [`norm_reference`] |
//! | [`packed_attention`] | self-attention on a packed projection (CPU only) | [`packed_attention_reference`] |
//! | [`rotary`] | rotary positions on neighbouring channels | [`rotary_reference`] |
//! | [`sample_logits`] | ids drawn from guided, filtered logits (inference) | [`sample_logits_reference`] |
//! | [`swiglu`] | gated linear unit with SiLU (CPU only) | [`swiglu_reference`] |
//! | [`euler_step`] | guided Euler step of flow sampling (inference) | [`euler_step_reference`] |
//! | [`group_norm_silu`] | group normalisation and SiLU in one pass | [`group_norm_silu_reference`] |
//! | [`triplane_sample`] | features of points between the texels of three planes, and their gradient | [`triplane_sample_reference`] |
//!
//! Operations marked so have a CPU kernel alone: on a GPU, burn's own are as good.
//!
//! One operation is a quartet with one stem: `<op>.wgsl`, `<op>.rs` (checks, launch, dispatch),
//! `cpu/<op>.rs` (the twin) and `tests/<op>.rs` (both against the reference). A public function
//! takes the kernel where it can run and the reference everywhere else; [`kernel_status`] tells
//! which, and the environment variable `TESSERA_KERNELS` (see [`Kernel`]) switches kernels off.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//!
//! let device = Device::flex();
//! let codebook = Tensor::<2>::from_floats([[0.0, 0.0], [1.0, 1.0]], &device);
//! let latents = Tensor::<2>::from_floats([[0.9, 0.8], [0.1, -0.2]], &device);
//! let codes = tessera_shaders::nearest_code(latents, codebook);
//! assert_eq!(codes.into_data().try_to_vec::<i32>().unwrap(), [1, 0]);
//! ```
#![deny(missing_docs)]

mod active;
mod conv3x3;
pub mod cpu;
pub mod device;
mod euler_step;
mod flex;
mod fsq;
mod gated_add;
mod gelu;
mod group_norm_silu;
mod inverted_residual;
mod launch;
mod layer_norm;
mod linear;
mod masked_attention;
mod modulated_norm;
mod nearest_code;
mod norm;
mod packed_attention;
mod patchify;
mod rotary;
mod sample_logits;
mod swiglu;
pub mod templates;
mod triplane_sample;

pub use active::{Kernel, KernelState, kernel_status};

pub use conv3x3::{
    Conv3x3Ops, Conv3x3Scale, conv3x3, conv3x3_doubled, conv3x3_doubled_reference, conv3x3_halved,
    conv3x3_halved_reference, conv3x3_reference,
};
pub use cpu::inverted_residual::InvertedResidualGeometry;
pub use cpu::modulation::Modulation;
pub use euler_step::{EulerStep, EulerStepOps, Projection, euler_step, euler_step_reference};
pub use fsq::{
    FsqOps, FsqScale, MAX_FSQ_DIM, MAX_FSQ_LEVEL, fsq, fsq_bounded, fsq_codes, fsq_codes_reference, fsq_reference,
};
pub use gated_add::{GatedAddOps, gated_add, gated_add_reference};
pub use gelu::{GeluOps, gelu, gelu_reference};
pub use group_norm_silu::{GroupNormSilu, GroupNormSiluOps, group_norm_silu, group_norm_silu_reference};
pub use inverted_residual::{InvertedResidualOps, inverted_residual, inverted_residual_reference};
pub use layer_norm::{LayerNormOps, layer_norm, layer_norm_reference};
pub use linear::{LinearOps, linear, linear_reference};
pub use masked_attention::{
    AttentionMask, MAX_HEAD_DIM, MAX_SCALES, MaskedAttentionGradientOps, MaskedAttentionOps, MaskedAttentionShape,
    ScaleEnds, attention_in_parts, counts_keys, masked_attention, masked_attention_reference, weighted_attention,
    weighted_attention_reference,
};
pub use modulated_norm::{ModulatedNormOps, modulated_norm, modulated_norm_reference};
pub use nearest_code::{MAX_CODE_DIM, NearestCodeOps, nearest_code, nearest_code_reference};
pub use norm::{NormOps, norm, norm_reference};
pub use packed_attention::{
    PackedAttentionOps, packed_attention, packed_attention_in_parts, packed_attention_reference,
};
pub use patchify::{
    PatchGeometry, PatchOrder, PatchifyOps, patchify, patchify_reference, unpatchify, unpatchify_reference,
};
pub use rotary::{RotaryOps, rotary, rotary_reference};
pub use sample_logits::{
    Chance, Filter, SampleLogitsOps, filtered_probabilities, guided, sample_logits, sample_logits_reference, uniforms,
};
pub use swiglu::{SwigluOps, swiglu, swiglu_reference};
pub use triplane_sample::{
    PlaneMerge, TriplaneGeometry, TriplaneSampleOps, triplane_sample, triplane_sample_reference,
};
