//! What stands beside an installed program: `bin/lucarne`, `etc/defaults.toml`, `etc/revision`.

use std::path::PathBuf;

/// The file `etc/NAME` of the installation, where there is one.
fn file(name: &str) -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let file = program.parent()?.parent()?.join("etc").join(name);
    file.is_file().then_some(file)
}

/// Settings of the installation, such as an image's: they take the place of the program's defaults, and
/// everything else wins over them.
pub(super) fn defaults() -> Option<PathBuf> {
    file("defaults.toml")
}

/// Which state of the sources the program was built from, where the installation says so.
#[must_use]
pub fn revision() -> Option<String> {
    let text = std::fs::read_to_string(file("revision")?).ok()?;
    let revision = text.trim();
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-._+".contains(c);
    (!revision.is_empty() && revision.len() <= 100 && revision.chars().all(is_name))
        .then(|| revision.to_owned())
}
