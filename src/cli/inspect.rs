//! `lucarne inspect`: what is in a TorchScript file, and a model.toml to start from.

use std::path::Path;

use torch_bridge::Module;

use crate::error::{Error, Result};

/// Prints what `file` offers.
pub(super) fn inspect(file: &Path) -> Result<()> {
    if !file.is_file() {
        return Err(Error::InvalidSettings(format!(
            "there is no file {}",
            file.display()
        )));
    }
    let module = Module::load(file, tch::Device::Cpu)?;
    let megabytes = module.parameters_bytes()? as f64 / 1e6;
    println!(
        "{}: {} parameters, {megabytes:.1} MB\n\nmethods",
        file.display(),
        module.parameter_count()?
    );
    for method in module.methods() {
        let arguments: Vec<String> = method
            .arguments
            .iter()
            .map(|a| format!("{}: {}", a.name, a.kind))
            .collect();
        println!(
            "  {}({}) -> {}",
            method.name,
            arguments.join(", "),
            method.returns
        );
    }
    for method in module.methods() {
        let layers = module.layers(&method.name)?;
        println!("\nlayers of {}, in the order of execution", method.name);
        for layer in layers {
            let times = if layer.calls == 1 {
                String::new()
            } else {
                format!(" ×{}", layer.calls)
            };
            println!("  {:<40} {}{times}", layer.path, layer.kind);
        }
    }
    println!("\na model.toml to start from\n\n{}", starting_manifest(file));
    Ok(())
}

fn starting_manifest(file: &Path) -> String {
    let name = file
        .file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default();
    format!(
        r#"task = "classification"
description = "…"

[artifact]
file = "{name}"

[input]
size = [224, 224]          # height, width: what the model was trained on
resize = "shorter_side"    # or stretch, letterbox, none
resize_to = 256
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]

[output]
labels = "labels.txt"      # one label a line; leave out if there are none
activation = "softmax"     # or sigmoid, none"#
    )
}
