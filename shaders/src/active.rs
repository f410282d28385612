//! Which kernels run on a device, and the switch that turns them off.

use std::sync::OnceLock;

use burn::backend::DispatchDevice;
use burn::tensor::Device;

/// An operation that has kernels of its own.
///
/// `TESSERA_KERNELS=off` runs the tensor-op references everywhere; `TESSERA_KERNELS=-nearest_code,-patchify`
/// switches single kernels off. The variable is read once, at first use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kernel {
    /// Nearest codebook row.
    NearestCode,
    /// Picture to patches and back.
    Patchify,
    /// Group normalisation followed by SiLU.
    GroupNormSilu,
    /// 3x3 convolution with zero padding (CPU only).
    Conv3x3,
    /// Quantizer of fixed levels.
    Fsq,
    /// Guided Euler step.
    EulerStep,
    /// Gated residual (CPU only).
    GatedAdd,
    /// Exact GELU (CPU only).
    Gelu,
    /// Inverted residual block with frozen weights (CPU only).
    InvertedResidual,
    /// Layer normalisation (CPU only).
    LayerNorm,
    /// Fully connected layer (CPU only).
    Linear,
    /// Attention under a mask that is computed from indices.
    MaskedAttention,
    /// Adaptive layer normalisation.
    ModulatedNorm,
    /// Layer normalisation without parameters (CPU only).
    Norm,
    /// Self-attention on a packed projection (CPU only).
    PackedAttention,
    /// Rotary positions.
    Rotary,
    /// Drawing ids from logits.
    SampleLogits,
    /// Gated linear unit with SiLU (CPU only).
    Swiglu,
    /// Features of points between the texels of three planes.
    TriplaneSample,
}

impl Kernel {
    /// Every kernel, in the order of their names.
    pub const ALL: [Kernel; 19] = [
        Kernel::Conv3x3,
        Kernel::EulerStep,
        Kernel::Fsq,
        Kernel::GatedAdd,
        Kernel::Gelu,
        Kernel::GroupNormSilu,
        Kernel::InvertedResidual,
        Kernel::LayerNorm,
        Kernel::Linear,
        Kernel::MaskedAttention,
        Kernel::ModulatedNorm,
        Kernel::NearestCode,
        Kernel::Norm,
        Kernel::PackedAttention,
        Kernel::Patchify,
        Kernel::Rotary,
        Kernel::SampleLogits,
        Kernel::Swiglu,
        Kernel::TriplaneSample,
    ];

    /// The kernel's name, as `TESSERA_KERNELS` and `tessera devices` spell it.
    pub fn name(self) -> &'static str {
        match self {
            Kernel::NearestCode => "nearest_code",
            Kernel::Patchify => "patchify",
            Kernel::GroupNormSilu => "group_norm_silu",
            Kernel::Conv3x3 => "conv3x3",
            Kernel::EulerStep => "euler_step",
            Kernel::Fsq => "fsq",
            Kernel::GatedAdd => "gated_add",
            Kernel::Gelu => "gelu",
            Kernel::InvertedResidual => "inverted_residual",
            Kernel::LayerNorm => "layer_norm",
            Kernel::Linear => "linear",
            Kernel::MaskedAttention => "masked_attention",
            Kernel::ModulatedNorm => "modulated_norm",
            Kernel::Norm => "norm",
            Kernel::PackedAttention => "packed_attention",
            Kernel::Rotary => "rotary",
            Kernel::SampleLogits => "sample_logits",
            Kernel::Swiglu => "swiglu",
            Kernel::TriplaneSample => "triplane_sample",
        }
    }

    /// Whether the shader runs in software too, where a GPU is only imitated. What shaders gain there is not what they are
    /// written for, so a kernel that measures slower than its reference stays away: masked attention takes 1.1 times the
    /// reference's time under FlexTok-d12's mask of registers, 1.8 times without a mask.
    fn suits_software(self) -> bool {
        self != Kernel::MaskedAttention
    }

    fn has_wgsl(self) -> bool {
        matches!(
            self,
            Kernel::EulerStep
                | Kernel::Fsq
                | Kernel::GroupNormSilu
                | Kernel::MaskedAttention
                | Kernel::ModulatedNorm
                | Kernel::NearestCode
                | Kernel::Patchify
                | Kernel::Rotary
                | Kernel::SampleLogits
                | Kernel::TriplaneSample
        )
    }
}

/// What runs when an operation is called on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KernelState {
    /// The WGSL shader.
    Wgsl,
    /// The CPU twin.
    Cpu,
    /// The tensor-op reference, because this device has no kernel for the operation.
    Reference,
    /// The tensor-op reference, because `TESSERA_KERNELS` says so.
    SwitchedOff,
}

impl KernelState {
    /// A word for reports: `wgsl`, `cpu`, `reference` or `switched off`.
    pub fn name(self) -> &'static str {
        match self {
            KernelState::Wgsl => "wgsl",
            KernelState::Cpu => "cpu",
            KernelState::Reference => "reference",
            KernelState::SwitchedOff => "switched off",
        }
    }

    pub(crate) fn is_kernel(self) -> bool {
        matches!(self, KernelState::Wgsl | KernelState::Cpu)
    }
}

/// What runs when `kernel` is called on `device`.
pub fn kernel_status(kernel: Kernel, device: &Device) -> KernelState {
    if switched_off(kernel, switch()) {
        return KernelState::SwitchedOff;
    }
    // Kernels have backward passes of their own, or send such tensors to their reference.
    let plain = device.clone().without_autodiff();
    match plain.as_dispatch() {
        DispatchDevice::Flex(_) => KernelState::Cpu,
        other if crate::device::is_software(other) && !kernel.suits_software() => KernelState::Reference,
        other if kernel.has_wgsl() && crate::device::runs_wgsl(other) => KernelState::Wgsl,
        _ => KernelState::Reference,
    }
}

pub(crate) fn runs(kernel: Kernel, device: &Device) -> bool {
    kernel_status(kernel, device).is_kernel()
}

/// As [`runs`] for an operation whose backward pass is the CPU's alone: a tensor that may need gradients on a GPU takes the
/// reference.
pub(crate) fn runs_with_gradients(kernel: Kernel, device: &Device) -> bool {
    match kernel_status(kernel, device) {
        KernelState::Wgsl => !device.is_autodiff(),
        state => state.is_kernel(),
    }
}

fn switch() -> &'static str {
    static SWITCH: OnceLock<String> = OnceLock::new();
    SWITCH.get_or_init(|| std::env::var("TESSERA_KERNELS").unwrap_or_default())
}

fn switched_off(kernel: Kernel, switch: &str) -> bool {
    switch.split(',').map(str::trim).any(|word| word == "off" || word.strip_prefix('-') == Some(kernel.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_switch_takes_all_or_single_kernels() {
        assert!(Kernel::ALL.iter().all(|&k| switched_off(k, "off")));
        assert!(Kernel::ALL.iter().all(|&k| !switched_off(k, "")));
        assert!(switched_off(Kernel::Patchify, "-nearest_code, -patchify"));
        assert!(!switched_off(Kernel::GroupNormSilu, "-nearest_code,-patchify"));
    }
}
