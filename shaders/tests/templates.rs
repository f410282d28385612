//! Every WGSL template, rendered in every permutation, is valid WGSL within WebGPU's default limits.

use naga::valid::{Capabilities, ValidationFlags, Validator};

/// WebGPU guarantees this much workgroup memory on every device.
const WORKGROUP_MEMORY: u32 = 16_384;

#[test]
fn every_permutation_of_every_template_validates() {
    let templates = tessera_shaders::templates::all();
    assert!(templates.len() > 100);
    for template in templates {
        assert!(!template.wgsl.contains("{{"), "{}: a placeholder was left", template.label);
        let module = naga::front::wgsl::parse_str(&template.wgsl)
            .unwrap_or_else(|error| panic!("{}: {}", template.label, error.emit_to_string(&template.wgsl)));
        Validator::new(ValidationFlags::all(), Capabilities::empty())
            .validate(&module)
            .unwrap_or_else(|error| panic!("{}: {error:?}", template.label));
        let workgroup: u32 = module
            .global_variables
            .iter()
            .filter(|(_, variable)| variable.space == naga::AddressSpace::WorkGroup)
            .map(|(_, variable)| module.types[variable.ty].inner.size(module.to_ctx()))
            .sum();
        assert!(workgroup <= WORKGROUP_MEMORY, "{}: {workgroup} bytes of workgroup memory", template.label);
    }
}
