//! Launching a rendered WGSL template on the tensors of a `CubeBackend`.

use burn::tensor::{DType, Shape};
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::cubecl::server::KernelArguments;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_wgpu::{CubeTensor, KernelSource, SourceKernel, SourceTemplate, into_contiguous};

/// Lanes of a workgroup in every template that works on a flat range.
pub(crate) const WORKGROUP: u32 = 64;

/// A template with the values put into it; the values are part of the kernel's identity.
pub(crate) struct Rendered {
    pub name: &'static str,
    pub template: &'static str,
    pub values: Vec<(&'static str, u32)>,
    pub workgroup: u32,
}

impl Rendered {
    pub fn text(&self) -> String {
        self.source().complete()
    }
}

impl KernelSource for Rendered {
    fn source(&self) -> SourceTemplate {
        self.values.iter().fold(SourceTemplate::new(self.template), |template, (label, value)| {
            template.register(*label, value.to_string())
        })
    }

    fn id(&self) -> KernelId {
        KernelId::new::<Self>().cube_dim(CubeDim::new_1d(self.workgroup).0).info((self.name, self.values.clone()))
    }

    fn lang(&self) -> &'static str {
        "wgsl"
    }
}

/// Runs `kernel` over `workgroups` and returns its output tensor of `shape`.
///
/// Bindings are the inputs in order, then the output, then `info` as `array<u32>`.
pub(crate) fn launch(
    kernel: Rendered,
    workgroups: u32,
    inputs: Vec<CubeTensor>,
    shape: Shape,
    dtype: DType,
    info: &[u32],
) -> CubeTensor {
    let [output] = launch_many(kernel, workgroups, inputs, [(shape, dtype)], info);
    output
}

/// As [`launch`], with several outputs one after the other.
pub(crate) fn launch_many<const N: usize>(
    kernel: Rendered,
    workgroups: u32,
    inputs: Vec<CubeTensor>,
    outputs: [(Shape, DType); N],
    info: &[u32],
) -> [CubeTensor; N] {
    let inputs: Vec<CubeTensor> = inputs.into_iter().map(into_contiguous).collect();
    let (client, device) = (inputs[0].client.clone(), inputs[0].device.clone());
    let outputs =
        outputs.map(|(shape, dtype)| empty_device_contiguous_dtype(client.clone(), device.clone(), shape, dtype));
    let info = client.create_from_slice(bytemuck::cast_slice(info));
    let arguments = inputs
        .into_iter()
        .map(|input| input.handle)
        .chain(outputs.iter().map(|output| output.handle.clone()))
        .chain([info])
        .fold(KernelArguments::new(), |all, handle| all.with_buffer(handle.binding()));
    let cube_dim = CubeDim::new_1d(kernel.workgroup);
    client.launch(Box::new(SourceKernel::new(kernel, cube_dim)), grid(workgroups), arguments);
    outputs
}

/// Folds a flat number of workgroups into two dimensions, since one holds at most 65,535.
/// Templates read `group.x + group.y * GRID_WIDTH` and guard against the surplus.
fn grid(workgroups: u32) -> CubeCount {
    CubeCount::Static(workgroups.min(GRID_WIDTH), workgroups.div_ceil(GRID_WIDTH), 1)
}

/// Workgroups along x before the grid wraps to the next row.
pub(crate) const GRID_WIDTH: u32 = 32_768;
