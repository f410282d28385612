//! Kernels of tessera: each operation as a WGSL shader, a CPU twin, and a tensor-op reference.
//!
//! | operation | what it does | beside it |
//! |---|---|---|
//! | [`nearest_code`] | index of the closest codebook row, without the `[n, vocab]` matrix | [`nearest_code_reference`] |
//! | [`patchify`] / [`unpatchify`] | picture to patch vectors and back, each the other's gradient | [`patchify_reference`] / [`unpatchify_reference`] |
//! | [`group_norm_silu`] | group normalisation and SiLU in one pass (inference) | [`group_norm_silu_reference`] |
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

pub mod cpu;
pub mod device;
mod flex;
mod group_norm_silu;
mod launch;
mod nearest_code;
mod patchify;
pub mod templates;

pub use active::{Kernel, KernelState, kernel_status};

pub use group_norm_silu::{GroupNormSiluOps, group_norm_silu, group_norm_silu_reference};
pub use nearest_code::{MAX_CODE_DIM, NearestCodeOps, nearest_code, nearest_code_reference};
pub use patchify::{PatchGeometry, PatchOrder, PatchifyOps, patchify, patchify_reference, unpatchify, unpatchify_reference};
