//! `tessera devices`

use anyhow::Result;
use serde_json::json;
use tessera::shaders::device::{DeviceChoice, adapters, describe};
use tessera::shaders::{Kernel, kernel_status};

use super::output::{Done, bytes, table};

pub fn run() -> Result<Done> {
    let mut rows = vec![
        ["device", "name", "class", "api", "driver", "largest buffer", "workgroup memory"].map(String::from).to_vec(),
    ];
    rows.push(["cpu", "cpu (flex)", "processor", "", "", "", ""].map(String::from).to_vec());
    let mut json_adapters = Vec::new();
    let mut names = vec!["cpu".to_owned()];
    for (index, adapter) in adapters().iter().enumerate() {
        let name = format!("gpu:{index}");
        rows.push(vec![
            name.clone(),
            adapter.name.clone(),
            adapter.class.to_owned(),
            adapter.api.clone(),
            adapter.driver.clone(),
            bytes(adapter.max_storage_binding),
            bytes(u64::from(adapter.max_workgroup_storage)),
        ]);
        json_adapters.push(json!({
            "device": name, "name": adapter.name, "class": adapter.class, "api": adapter.api,
            "driver": adapter.driver, "max_storage_binding": adapter.max_storage_binding,
            "max_buffer": adapter.max_buffer, "max_workgroup_storage": adapter.max_workgroup_storage,
        }));
        names.push(name);
    }
    let auto = DeviceChoice::Auto.open().map(|device| describe(&device))?;

    let mut kernels = vec![vec!["kernel".to_owned()]];
    let mut json_kernels = serde_json::Map::new();
    for name in &names {
        let device = name.parse::<DeviceChoice>()?.open()?;
        let mut on_device = serde_json::Map::new();
        kernels[0].push(name.clone());
        for (row, kernel) in Kernel::ALL.into_iter().enumerate() {
            if kernels.len() < row + 2 {
                kernels.push(vec![kernel.name().to_owned()]);
            }
            let state = kernel_status(kernel, &device).name();
            kernels[row + 1].push(state.to_owned());
            on_device.insert(kernel.name().to_owned(), state.into());
        }
        json_kernels.insert(name.clone(), on_device.into());
    }
    let text = format!("{}\n{}\nauto is {auto}; kernels on a GPU are written in WGSL\n", table(&rows), table(&kernels));
    Ok(Done {
        text,
        json: json!({ "auto": auto, "kernel_language": "wgsl", "adapters": json_adapters, "kernels": json_kernels }),
        quiet: names.join("\n"),
        passed: true,
    })
}
