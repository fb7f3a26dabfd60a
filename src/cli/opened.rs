//! A model that was loaded to be asked about images, without a server.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::runtime::Runtime;

use crate::app::Server;
use crate::catalog::Model;
use crate::engine::Context;
use crate::error::{Error, Result};
use crate::manifest;
use crate::protocol::v1::{self, Answer, Form};
use crate::reading::Parameters;
use crate::service::{Asked, Pictures};

/// See the module's text.
pub(super) struct Opened {
    pub(super) runtime: Runtime,
    pub(super) server: Server,
    pub(super) model: Arc<Model>,
    pub(super) parameters: Parameters,
    /// What an embedding is compared with.
    pub(super) reference: Option<Bytes>,
}

impl Opened {
    /// The model, its version and what is asked of it, in a line.
    pub(super) fn question(&self) -> String {
        let asked = self
            .parameters
            .pairs()
            .map(|(name, value)| format!(" {name}={value}"));
        format!(
            "{} {}{}",
            self.model.name,
            self.model.version,
            asked.collect::<String>()
        )
        .replace(['\n', '\r'], " ")
    }

    /// Waits for `work`.
    pub(super) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// So many requests at one time, or as many as there are places.
    pub(super) fn side_by_side(&self, most: usize) -> usize {
        most.min(self.model.spec.manifest.batching.queue_capacity)
    }

    /// The prediction for an image file.
    pub(super) async fn predicted(&self, image: &Path, form: Form) -> Result<Answer> {
        let pictures = Pictures::new(vec![file(image)?], 1)?;
        let asked = (pictures, &self.parameters, form);
        v1::predicted(
            self.server.service(),
            &self.model,
            asked,
            &Context::default(),
            Instant::now(),
        )
        .await
    }

    /// The explanation of an image file.
    pub(super) async fn explained(&self, image: &Path, form: Form) -> Result<Answer> {
        let pictures = Pictures::new(vec![file(image)?], 1)?;
        let reference = self.reference.clone();
        let asked = (Asked { pictures, reference }, &self.parameters, form);
        v1::explained(
            self.server.service(),
            &self.model,
            asked,
            &Context::default(),
            Instant::now(),
        )
        .await
    }
}

/// The bytes of an image file.
pub(super) fn file(path: &Path) -> Result<Bytes> {
    let wrong = |e: std::io::Error| Error::InvalidSettings(format!("{}: {e}", path.display()));
    let mut bytes = Vec::new();
    // A pipe that nobody writes to would be waited for.
    manifest::open(path)
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .map_err(wrong)?;
    Ok(bytes.into())
}
