//! Every WGSL template in every permutation it is rendered in, for validation and for reading.

use crate::launch::Rendered;
use crate::patchify::PatchOrder;
use crate::{
    euler_step, fsq, group_norm_silu, masked_attention, modulated_norm, nearest_code, patchify, rotary, sample_logits,
    triplane_sample,
};

/// A shader as it is handed to the driver.
#[derive(Debug, Clone)]
pub struct RenderedTemplate {
    /// Kernel name and the values put in, such as `nearest_code dim=12 tile=170`.
    pub label: String,
    /// Complete WGSL.
    pub wgsl: String,
}

impl From<Rendered> for RenderedTemplate {
    fn from(kernel: Rendered) -> Self {
        let values = kernel.values.iter().map(|(label, value)| format!(" {label}={value}"));
        Self { label: kernel.name.to_owned() + &values.collect::<String>(), wgsl: kernel.text() }
    }
}

/// All permutations: both directions and orders of patchify, both activations, every code width, planes added or side by side
/// with their gradients, and every mask at every width of a head.
pub fn all() -> Vec<RenderedTemplate> {
    let orders = [PatchOrder::ChannelsFirst, PatchOrder::ChannelsLast];
    let patches =
        orders.into_iter().flat_map(|order| [false, true].map(|to_picture| patchify::rendered(to_picture, order)));
    let norms = [false, true].map(group_norm_silu::rendered);
    let codes = (1..=crate::MAX_CODE_DIM).map(nearest_code::rendered);
    let attentions = (1..=crate::MAX_HEAD_DIM)
        .flat_map(|dim| masked_attention::Rule::ALL.map(|rule| masked_attention::rendered(dim, rule)));
    patches
        .chain(norms)
        .chain([modulated_norm::rendered(), euler_step::rendered()])
        .chain([rotary::rendered(), sample_logits::rendered()])
        .chain([false, true].map(fsq::rendered))
        .chain(triplane_sample::all())
        .chain(codes)
        .chain(attentions)
        .map(RenderedTemplate::from)
        .collect()
}
