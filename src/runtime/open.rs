//! From an artifact to what predicts and what can be explained, whatever its format.

use std::num::NonZeroUsize;
use std::sync::Arc;

use tch::Device;

use super::aoti::Packages;
use super::artifact::Artifact;
use super::chosen;
use super::program::Transparent;
use super::requirements::{Opened, Requirements};
use super::selected::{Selected, Selection};
use super::torchscript::Exported;
use crate::error::Result;
use crate::manifest::{ArtifactFormat, Precision};

/// Makes programs of artifacts.
pub trait Formats: Send + Sync + std::fmt::Debug {
    /// What predicts, for the calling thread's number of threads.
    ///
    /// # Errors
    /// [`Error::InvalidModel`](crate::error::Error::InvalidModel) when the artifact lacks what is required, or
    /// [`Error::InferenceFailed`](crate::error::Error::InferenceFailed) with libtorch's words.
    fn open(&self, artifact: &Artifact, wanted: &Requirements<'_>) -> Result<Opened>;

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
        // Packages stand beside the TorchScript file that they were compiled from, which is what is explained.
        let exported = Exported::load(artifact, wanted.device, wanted.precision)?;
        exported.check(wanted)?;
        let opened = match artifact.format() {
            ArtifactFormat::Torchscript if wanted.precision == Precision::Auto => {
                chosen::open(&exported, wanted)?
            }
            ArtifactFormat::Torchscript => exported.open(wanted, wanted.precision)?,
            ArtifactFormat::Aoti => {
                // One runner more than instances: explanations run it too.
                let runners = NonZeroUsize::MIN.saturating_add(wanted.instances);
                let packages = Packages::load(&artifact.packages(), runners, wanted.device)?;
                Opened {
                    program: Arc::new(packages),
                    parameters: exported.parameters()?,
                    precision: Precision::F32,
                    measured: None,
                }
            }
        };
        Ok(Opened {
            program: Selected::program(opened.program, wanted.selection),
            ..opened
        })
    }

    fn expose(
        &self,
        artifact: &Artifact,
        device: Device,
        selection: Option<&Selection>,
    ) -> Result<Arc<dyn Transparent>> {
        // Gradients of half-precision numbers underflow.
        let exported = Exported::load(artifact, device, Precision::F32)?;
        Ok(Selected::transparent(Arc::new(exported), selection))
    }
}
