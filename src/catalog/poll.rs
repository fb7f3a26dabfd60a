//! Models that come and go as their folders do.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::names::{folder_name, folders_of};
use super::roster::Catalog;
use super::stamp::Stamp;
use crate::engine::context::Progress;
use crate::error::{Error, Result};

/// What was seen of the folders.
#[derive(Debug, Default)]
pub struct Seen {
    /// As each was when its model was loaded last, or when that was tried.
    tried: BTreeMap<String, Arc<Stamp>>,
    /// As each was at the last look: a folder that is being written to is left alone.
    last: BTreeMap<String, Arc<Stamp>>,
}

/// The folders of models now.
type Found = BTreeMap<String, (PathBuf, Arc<Stamp>)>;

impl Seen {
    /// The folders as they are: what is in them is loaded, or will be.
    ///
    /// # Errors
    /// [`Error::NotReady`] when they cannot be read.
    pub fn now(catalog: &Catalog) -> Result<Self> {
        let found = found(catalog)?.into_iter();
        let tried: BTreeMap<_, _> = found.map(|(name, (_, stamp))| (name, stamp)).collect();
        Ok(Self {
            last: tried.clone(),
            tried,
        })
    }

    /// Follows the folders as long as it is polled, looking every `interval`.
    pub async fn follow(mut self, catalog: &Catalog, interval: Duration) {
        loop {
            tokio::time::sleep(interval).await;
            match found(catalog) {
                Ok(found) => self.look(catalog, found).await,
                Err(error) => tracing::warn!(%error, "models stay as they are"),
            }
        }
    }

    async fn look(&mut self, catalog: &Catalog, found: Found) {
        let gone: Vec<String> = self
            .tried
            .keys()
            .filter(|name| !found.contains_key(*name))
            .cloned()
            .collect();
        for name in gone {
            tracing::info!(model = name, "the model's folder is gone: it is taken out");
            catalog.forget(&name);
            self.tried.remove(&name);
        }
        for (name, (_, stamp)) in &found {
            let is_settled = self.last.get(name) == Some(stamp);
            if !is_settled || self.tried.get(name) == Some(stamp) {
                continue;
            }
            self.tried.insert(name.clone(), Arc::clone(stamp));
            match catalog.bring(name, None, &Progress::default()).await {
                Ok(model) => {
                    let version = &model.version;
                    tracing::info!(model = name, version, "the model's folder changed: it is loaded");
                    catalog.conform(name);
                }
                // What is wrong with a model was said when it was tried.
                Err(Error::InvalidModel { .. }) => {}
                Err(error) => {
                    tracing::warn!(model = name, %error, "the model's folder changed, but it stays as it is");
                }
            }
        }
        self.last = found
            .into_iter()
            .map(|(name, (_, stamp))| (name, stamp))
            .collect();
    }
}

fn found(catalog: &Catalog) -> Result<Found> {
    let Some(root) = catalog.root() else {
        return Ok(Found::new());
    };
    let folders = folders_of(root)?.into_iter();
    let folders = folders.map(|dir| {
        let stamp = Arc::new(Stamp::of(&dir));
        (folder_name(&dir), (dir, stamp))
    });
    Ok(folders.collect())
}
