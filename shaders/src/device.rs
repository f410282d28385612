//! Choosing a device by name, and saying what the machine has.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{LazyLock, Mutex, PoisonError};

use burn::backend::DispatchDevice;
use burn::tensor::{Device, DeviceKind};
use burn_cubecl::CubeDevice;
use burn_cubecl::cubecl::prelude::CubeCount;
use burn_cubecl::cubecl::server::KernelArguments;
use burn_cubecl::cubecl::wgpu::WgpuDeviceKind;
use burn_wgpu::{CubeDim, SourceKernel};

use crate::launch::Rendered;

/// Which device to compute on: `auto`, `cpu`, `gpu` or `gpu:n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// A hardware GPU if there is one, else the CPU. A software adapter is never chosen here: it is slower
    /// than the CPU backend.
    #[default]
    Auto,
    /// The CPU backend (Flex: SIMD and rayon).
    Cpu,
    /// The adapter with this index in [`adapters`], through wgpu.
    Gpu(usize),
}

/// Why a device could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The name is none of the known ones.
    #[error("unknown device \"{0}\": expected auto, cpu, gpu or gpu:<index>")]
    UnknownName(String),
    /// The machine has no adapter with this index.
    #[error(
        "no GPU adapter with index {index}: wgpu found {found} (see `tessera devices`); \
         install a Vulkan, Metal or DX12 driver, or use --device cpu"
    )]
    NoAdapter {
        /// The index asked for.
        index: usize,
        /// Adapters on this machine.
        found: usize,
    },
}

impl FromStr for DeviceChoice {
    type Err = DeviceError;

    fn from_str(name: &str) -> Result<Self, DeviceError> {
        let unknown = || DeviceError::UnknownName(name.to_owned());
        match name {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "gpu" => Ok(Self::Gpu(0)),
            _ => {
                let index = name.strip_prefix("gpu:").ok_or_else(unknown)?;
                Ok(Self::Gpu(index.parse().map_err(|_| unknown())?))
            }
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => write!(f, "auto"),
            Self::Cpu => write!(f, "cpu"),
            Self::Gpu(index) => write!(f, "gpu:{index}"),
        }
    }
}

impl DeviceChoice {
    /// Opens the device.
    ///
    /// # Errors
    /// [`DeviceError::NoAdapter`] if the machine has no adapter of this index.
    pub fn open(self) -> Result<Device, DeviceError> {
        match self {
            Self::Cpu => Ok(Device::flex()),
            Self::Auto => Ok(match adapters().iter().find(|adapter| adapter.is_hardware()) {
                Some(adapter) => Device::wgpu(adapter.kind.clone()),
                None => Device::flex(),
            }),
            Self::Gpu(index) => {
                let adapter = adapters().get(index).ok_or(DeviceError::NoAdapter { index, found: adapters().len() })?;
                Ok(Device::wgpu(adapter.kind.clone()))
            }
        }
    }
}

/// A GPU, or a software implementation of one, that wgpu reaches.
#[derive(Debug, Clone)]
pub struct AdapterReport {
    /// The name the driver gives.
    pub name: String,
    /// `discrete`, `integrated`, `virtual`, `software` or `other`.
    pub class: &'static str,
    /// Graphics API: `vulkan`, `metal`, `dx12`.
    pub api: String,
    /// Driver and its version, as far as the driver tells.
    pub driver: String,
    /// Largest storage buffer binding in bytes.
    pub max_storage_binding: u64,
    /// Largest buffer in bytes.
    pub max_buffer: u64,
    /// Workgroup memory in bytes.
    pub max_workgroup_storage: u32,
    kind: DeviceKind,
}

impl AdapterReport {
    /// False for a software rasteriser such as llvmpipe.
    pub fn is_hardware(&self) -> bool {
        self.class != "software"
    }
}

/// The machine's adapters, hardware first; the index is that of [`DeviceChoice::Gpu`]. Asked once.
pub fn adapters() -> &'static [AdapterReport] {
    static ADAPTERS: LazyLock<Vec<AdapterReport>> = LazyLock::new(list_adapters);
    &ADAPTERS
}

fn list_adapters() -> Vec<AdapterReport> {
    let descriptor = wgpu::InstanceDescriptor {
        backends: wgpu::Backends::PRIMARY,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    };
    let instance = wgpu::Instance::new(descriptor);
    let found = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY));
    let mut reports: Vec<(u8, AdapterReport)> = Vec::new();
    for adapter in found {
        let info = adapter.get_info();
        let rank = rank(info.device_type);
        let nth = reports.iter().filter(|(other, _)| *other == rank).count();
        let (class, kind) = class(info.device_type, nth);
        let limits = adapter.limits();
        let report = AdapterReport {
            name: info.name,
            class,
            api: info.backend.to_string(),
            driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
            max_storage_binding: limits.max_storage_buffer_binding_size,
            max_buffer: limits.max_buffer_size,
            max_workgroup_storage: limits.max_compute_workgroup_storage_size,
            kind,
        };
        reports.push((rank, report));
    }
    reports.sort_by_key(|(rank, _)| *rank);
    reports.into_iter().map(|(_, report)| report).collect()
}

fn rank(device_type: wgpu::DeviceType) -> u8 {
    match device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}

fn class(device_type: wgpu::DeviceType, nth: usize) -> (&'static str, DeviceKind) {
    match device_type {
        wgpu::DeviceType::DiscreteGpu => ("discrete", DeviceKind::DiscreteGpu(nth)),
        wgpu::DeviceType::IntegratedGpu => ("integrated", DeviceKind::IntegratedGpu(nth)),
        wgpu::DeviceType::VirtualGpu => ("virtual", DeviceKind::VirtualGpu(nth)),
        wgpu::DeviceType::Other => ("other", DeviceKind::DefaultDevice),
        wgpu::DeviceType::Cpu => ("software", DeviceKind::Cpu),
    }
}

/// A short name of what `device` computes on, for reports.
pub fn describe(device: &Device) -> String {
    match device.identity() {
        Some(identity) => identity.name,
        None => "cpu (flex)".to_owned(),
    }
}

/// Bytes of the largest buffer that a device gives a kernel; `None` on the CPU, where memory alone limits it.
pub fn largest_buffer(device: &Device) -> Option<u64> {
    match device.clone().without_autodiff().as_dispatch() {
        DispatchDevice::Cube(cube) => Some(cube.client().properties().memory.max_page_size),
        _ => None,
    }
}

/// How many of `rows` rows of `bytes` bytes are computed at once: all of them if they fit in `most`, else half of what would, so that
/// what is made of them fits too; at least one.
pub fn rows_at_once(bytes: u64, rows: usize, most: Option<u64>) -> usize {
    match most {
        Some(most) if bytes.saturating_mul(rows as u64) > most => {
            usize::try_from(most / 2 / bytes.max(1)).unwrap_or(rows).clamp(1, rows)
        }
        _ => rows,
    }
}

/// What a device says of a failure, which is many lines, in one: the causes from the outermost to the innermost, without backtraces.
pub fn in_one_line(error: &dyn fmt::Display) -> String {
    let said = error.to_string();
    let is_frame = |line: &str| {
        let number = line.split_once(": ").is_some_and(|(number, _)| number.parse::<u32>().is_ok());
        number || line.starts_with("at /") || line.starts_with("at src/")
    };
    let is_cause = |line: &&str| {
        let is_heading = ["Caused by:", "Asked at:", "No backtrace available"].contains(line);
        !line.is_empty() && !is_heading && !is_frame(line)
    };
    said.lines().map(str::trim).filter(is_cause).collect::<Vec<_>>().join(": ")
}

/// Whether this is a software implementation of a GPU, by the name under which burn opens one.
pub(crate) fn is_software(device: &DispatchDevice) -> bool {
    matches!(device, DispatchDevice::Cube(CubeDevice::Wgpu(wgpu)) if wgpu.kind == WgpuDeviceKind::Cpu)
}

/// Whether hand-written WGSL runs on this device: true unless a downstream crate turned on another shader
/// compiler (burn's features `vulkan` or `metal`) or the runtime is no wgpu at all. Tried once a device.
pub(crate) fn runs_wgsl(device: &DispatchDevice) -> bool {
    static KNOWN: Mutex<Option<HashMap<String, bool>>> = Mutex::new(None);
    let plain = Device::new(device.clone()).without_autodiff();
    let DispatchDevice::Cube(cube) = plain.as_dispatch() else {
        return false;
    };
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    *known.get_or_insert_default().entry(format!("{cube:?}")).or_insert_with(|| probe(cube))
}

/// Writes one number with a WGSL kernel and reads it back.
fn probe(device: &CubeDevice) -> bool {
    let client = device.client();
    let handle = client.create_from_slice(&0u32.to_le_bytes());
    let kernel = Rendered {
        name: "probe",
        template: "@group(0) @binding(0) var<storage, read_write> word: array<u32>;\n\
                   @compute @workgroup_size(1) fn main() { word[0] = {{ answer }}u; }\n",
        values: vec![("answer", PROBE_ANSWER)],
        workgroup: 1,
    };
    client.launch(
        Box::new(SourceKernel::new(kernel, CubeDim::new_1d(1))),
        CubeCount::Static(1, 1, 1),
        KernelArguments::new().with_buffer(handle.clone().binding()),
    );
    client.read_one(handle).is_ok_and(|bytes| bytes.starts_with(&PROBE_ANSWER.to_le_bytes()))
}

const PROBE_ANSWER: u32 = 0x7e55_e8a0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_others_are_refused() {
        for name in ["auto", "cpu", "gpu:0", "gpu:3"] {
            assert_eq!(name.parse::<DeviceChoice>().unwrap().to_string(), name);
        }
        assert_eq!("gpu".parse::<DeviceChoice>().unwrap(), DeviceChoice::Gpu(0));
        for name in ["", "cuda", "gpu:", "gpu:-1", "gpu:x"] {
            assert!(name.parse::<DeviceChoice>().is_err(), "{name}");
        }
    }

    #[test]
    fn rows_at_once_are_all_that_fit_or_half_of_what_would() {
        assert_eq!(rows_at_once(10, 7, None), 7);
        assert_eq!(rows_at_once(10, 7, Some(70)), 7);
        assert_eq!(rows_at_once(10, 7, Some(69)), 3);
        assert_eq!(rows_at_once(10, 7, Some(1)), 1);
        assert_eq!(rows_at_once(u64::MAX, 7, Some(1 << 40)), 1);
    }

    #[test]
    fn failures_of_many_lines_become_one() {
        let said = "An error happened\nCaused by:\n  3 bytes: too many\n  0: core::panic\n     at /rustc/x.rs:3\nNo backtrace available";
        assert_eq!(in_one_line(&said), "An error happened: 3 bytes: too many");
    }

    #[test]
    fn an_adapter_that_is_not_there_is_an_error() {
        assert!(matches!(DeviceChoice::Gpu(999).open(), Err(DeviceError::NoAdapter { index: 999, .. })));
    }
}
