//! From an artifact to what predicts and what can be explained, whatever its format.

use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

use tch::Device;

use super::aoti::Packages;
use super::artifact::Artifact;
use super::chosen;
use super::exported::{self, Bounds, Found};
use super::program::Transparent;
use super::requirements::{Opened, Requirements};
use super::selected::Selection;
use super::torchscript::{self, Network};
use super::wrapped;
use crate::error::{Error, Result};
use crate::manifest::{ArtifactFormat, Precision};

/// Makes programs of artifacts.
pub trait Formats: Send + Sync + std::fmt::Debug {
    /// What predicts, for the calling thread's number of threads.
    ///
    /// # Errors
    /// [`Error::InvalidModel`](crate::error::Error::InvalidModel) when the artifact lacks what is required, or
    /// [`Error::InferenceFailed`](crate::error::Error::InferenceFailed) with libtorch's words.
    fn open(&self, artifact: &Artifact, wanted: &Requirements<'_>) -> Result<Opened>;

    /// The sizes of batches that all `methods` of the artifact take, where its file says so.
    ///
    /// # Errors
    /// As [`Formats::open`].
    fn batch(&self, _artifact: &Artifact, _methods: &[&str]) -> Result<Option<RangeInclusive<usize>>> {
        Ok(None)
    }

    /// The model with its layers, for explanations.
    ///
    /// # Errors
    /// As [`Formats::open`].
    fn expose(
        &self,
        artifact: &Artifact,
        device: Device,
        selection: Option<&Selection>,
    ) -> Result<Arc<dyn Transparent>>;
}

/// The formats of this server.
#[derive(Debug, Clone, Copy)]
pub struct Native;

impl Formats for Native {
    fn open(&self, artifact: &Artifact, wanted: &Requirements<'_>) -> Result<Opened> {
        // Packages stand beside the file that they were compiled from, which is what is explained.
        let (network, bounds) = network(artifact, wanted.device, wanted.precision)?;
        let cure = if bounds.is_some() {
            "write a program for it into the file too: package_pt2 of torch.export.pt2_archive takes a dict of them"
        } else {
            "export it with @torch.jit.export"
        };
        network.check(wanted, cure)?;
        let opened = match artifact.format() {
            Some(ArtifactFormat::Aoti) => {
                // One runner more than instances: explanations run it too.
                let runners = NonZeroUsize::MIN.saturating_add(wanted.instances);
                let packages = Packages::load(&artifact.packages(), runners, wanted.device)?;
                Opened {
                    program: Arc::new(packages),
                    parameters: network.parameters()?,
                    precision: Precision::F32,
                    measured: None,
                }
            }
            _ if wanted.precision == Precision::Auto => chosen::open(&network, wanted)?,
            _ => network.open(wanted, wanted.precision)?,
        };
        let as_asked = |program| {
            let program = wrapped::program(program, bounds.as_ref());
            wrapped::program(program, wanted.selection)
        };
        let opened = Opened {
            program: as_asked(opened.program),
            ..opened
        };
        if let Some(examine) = wanted.examine {
            examine(&opened, &*as_asked(Arc::new(network)))?;
        }
        Ok(opened)
    }

    fn expose(
        &self,
        artifact: &Artifact,
        device: Device,
        selection: Option<&Selection>,
    ) -> Result<Arc<dyn Transparent>> {
        // Gradients of half-precision numbers underflow.
        let (network, bounds) = network(artifact, device, Precision::F32)?;
        let network = wrapped::transparent(Arc::new(network), bounds.as_ref());
        Ok(wrapped::transparent(network, selection))
    }

    fn batch(&self, artifact: &Artifact, methods: &[&str]) -> Result<Option<RangeInclusive<usize>>> {
        let Some(program) = exported::read(&artifact.readable())? else {
            return Ok(None);
        };
        Ok(Bounds::of(&program).batch(methods))
    }
}

/// The network in `artifact`, to compute in numbers of this `precision`: in f32 also what was exported in half; and what it
/// may be called with, where the file says so.
fn network(
    artifact: &Artifact,
    device: Device,
    precision: Precision,
) -> Result<(Network, Option<Arc<Bounds>>)> {
    let widened = matches!(precision, Precision::F32 | Precision::Auto);
    let found = module(&artifact.readable(), artifact.path(), device, widened)?;
    let is_exported = found.bounds.is_some();
    let said = match artifact.format() {
        Some(ArtifactFormat::Torchscript) if is_exported => "torchscript",
        Some(ArtifactFormat::Exported) if !is_exported => "exported",
        _ => {
            return Ok((
                Network::new(found.module, device, found.modules)?,
                found.bounds.map(Arc::new),
            ));
        }
    };
    let is = if is_exported {
        "a program of torch.export"
    } else {
        "TorchScript"
    };
    Err(Error::model(format!(
        "artifact.format: found \"{said}\", but the file is {is}; leave the key out, and the file tells it"
    )))
}

/// The module in `file`, which `name` is the path of, of whatever format.
///
/// # Errors
/// [`Error::InvalidModel`] with what is wrong with it or what it is instead, [`Error::InferenceFailed`] with libtorch's words.
pub(crate) fn module(file: &Path, name: &Path, device: Device, widened: bool) -> Result<Found> {
    let Some(program) = exported::read(file)? else {
        let module = torchscript::load(file, name, device, widened)?;
        return Ok(Found {
            module,
            bounds: None,
            modules: Vec::new(),
        });
    };
    exported::build(program, file, device, widened)
}
