//! What is in a file of TorchScript or torch.export, for people.

use std::path::Path;

use torch_bridge::Module;

use crate::error::Result;
use crate::runtime::Bounds;

/// Methods and layers of `module`.
pub(super) fn description(file: &Path, module: &Module, bounds: Option<&Bounds>) -> Result<String> {
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
        if let Some(shapes) = bounds.map(|bounds| bounds.described(&method.name)) {
            lines.push(format!("    exported for {}", shapes.join("; ")));
        }
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
    Ok(lines.join("\n"))
}
