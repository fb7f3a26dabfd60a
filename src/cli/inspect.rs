//! `lucarne inspect`: what is in a TorchScript file, and a model.toml to start from.

use std::path::Path;

use torch_bridge::Module;

use super::output::print;
use crate::error::{Error, Result};
use crate::runtime::refused;

/// Prints what `file` offers.
pub(super) fn inspect(file: &Path) -> Result<()> {
    let shown = file.display();
    if file.is_dir() {
        let inside = file.join("model.pt");
        let example = if inside.is_file() {
            format!(", {}", inside.display())
        } else {
            String::new()
        };
        let text = format!("{shown} is a folder; name the TorchScript file in it{example}");
        return Err(Error::InvalidSettings(text));
    }
    if !file.is_file() {
        return Err(Error::InvalidSettings(format!("there is no file {shown}")));
    }
    let module =
        Module::load(file, tch::Device::Cpu).map_err(|error| match refused(file, file, error.into()) {
            Error::InvalidModel { problems } => Error::model(format!("{shown}: {}", problems.join("; "))),
            other => other,
        })?;
    print(&description(file, &module)?)
}

fn description(file: &Path, module: &Module) -> Result<String> {
    let megabytes = module.parameters_bytes()? as f64 / 1e6;
    let count = module.parameter_count()?;
    let mut lines = vec![format!(
        "{}: {count} parameters, {megabytes:.1} MB\n\nmethods",
        file.display()
    )];
    for method in module.methods() {
        let arguments: Vec<String> = method
            .arguments
            .iter()
            .map(|a| format!("{}: {}", a.name, a.kind))
            .collect();
        lines.push(format!(
            "  {}({}) -> {}",
            method.name,
            arguments.join(", "),
            method.returns
        ));
    }
    for method in module.methods() {
        lines.push(format!("\nlayers of {}, in the order of execution", method.name));
        for layer in module.layers(&method.name)? {
            let times = if layer.calls == 1 {
                String::new()
            } else {
                format!(" ×{}", layer.calls)
            };
            lines.push(format!("  {:<40} {}{times}", layer.path, layer.kind));
        }
    }
    lines.push(format!(
        "\na model.toml to start from\n\n{}",
        starting_manifest(file)
    ));
    Ok(lines.join("\n"))
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
