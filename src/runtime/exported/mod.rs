//! Programs of torch.export (`.pt2`), built into modules: they are frozen, compiled and explained as TorchScript is.

mod bounds;

use std::path::Path;

use exported_program::{Exported, Refused};
use tch::Device;
use torch_bridge::Module;

pub(crate) use bounds::Bounds;

use crate::error::{Error, Result};
use crate::manifest;

/// A module, and what its file says of it: one of TorchScript says nothing.
#[derive(Debug)]
pub(crate) struct Found {
    /// The module.
    pub(crate) module: Module,
    /// The shapes that it takes.
    pub(crate) bounds: Option<Bounds>,
    /// The paths of its modules.
    pub(super) modules: Vec<String>,
}

/// What torch.export saved in `file`; nothing where it is another file.
///
/// # Errors
/// [`Error::InvalidModel`] with what is wrong with it.
pub(super) fn read(file: &Path) -> Result<Option<Exported>> {
    let opened = manifest::open(file).map_err(|e| Error::model(format!("cannot be read: {e}")))?;
    match Exported::read(&opened) {
        Ok(exported) => Ok(Some(exported)),
        Err(Refused::Foreign(_)) => Ok(None),
        Err(error) => Err(Error::model(error.to_string())),
    }
}

/// Builds the program that was read from `file`, on `device`. `widened`: what is in half precision becomes f32.
///
/// # Errors
/// [`Error::InvalidModel`] where it changes what it owns, [`Error::InferenceFailed`] with libtorch's words.
pub(super) fn build(exported: Exported, file: &Path, device: Device, widened: bool) -> Result<Found> {
    let opened = manifest::open(file).map_err(|e| Error::model(format!("cannot be read: {e}")))?;
    let module = Module::build(&exported, &opened, device, widened)?;
    if module.is_stateful() {
        return Err(Error::model(
            "each call changes a buffer of the network, so that answers would depend on what others asked before; export \
             it in eval(), or hand the state over as an argument",
        ));
    }
    Ok(Found {
        module,
        bounds: Some(Bounds::of(&exported)),
        modules: exported.modules,
    })
}
