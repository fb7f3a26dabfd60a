//! Loading versions of a folder into its slots.

use std::sync::Arc;

use tracing::Instrument;

use super::entry::{Entry, State};
use super::load::{Load, load_tried};
use super::loader::Loader;
use super::model::Model;
use super::rested::Rested;
use super::thread::LoaderThread;
use crate::error::{Error, Result};

/// Runs `work` to its end, also where nobody waits for it any more. What loads is not to end with the client that asked first:
/// half of a change would be made, and what others wait for would be begun anew.
///
/// # Errors
/// What `work` answers; [`Error::Internal`] when it panics.
pub(crate) async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let work = tokio::spawn(work.in_current_span());
    work.await
        .unwrap_or_else(|error| Err(Error::Internal(error.to_string())))
}

/// What loads models, and the thread that it does so on. Clones share both.
#[derive(Debug, Clone)]
pub(super) struct Loads {
    pub(super) loader: Arc<Loader>,
    pub(super) thread: LoaderThread,
}

impl Loads {
    /// Loads a version of `entry`; it answers also if none does.
    pub(super) async fn load_into(&self, entry: &Arc<Entry>, what: Load<'_>) -> Result<Arc<Model>> {
        let (answers, serves) = (Arc::clone(entry), what.serves);
        let put = move |model| {
            let model = Arc::new(model);
            let serves = serves || !matches!(answers.state(), State::Ready(_));
            answers.put(Arc::clone(&model), serves);
            model
        };
        let loaded = load_tried(&self.loader, (entry, what), &self.thread, || (), put).await?;
        loaded.inspect_err(|error| {
            tracing::error!(model = entry.name, %error, "model cannot be loaded; what answers goes on");
            entry.fail(error.clone());
        })
    }

    /// Loads `version` beside what serves; what cannot be loaded says so in the log.
    pub(super) async fn bring_to(&self, entry: &Arc<Entry>, version: &str) {
        if let Err(error) = self.load_into(entry, Load::beside(version)).await {
            entry.fail_beside(version, &error);
        }
    }

    /// Loads the versions of a model that rests, once for all requests that come meanwhile.
    pub(super) async fn wake(&self, entry: &Arc<Entry>) -> Result<()> {
        let _alone = entry.waking.lock().await;
        let name = &entry.name;
        let again = |error: &Error| {
            Error::NotReady(format!(
                "model `{name}` rested, and could not be loaded again: {error}"
            ))
        };
        let as_it_was = |rested: &Rested| {
            let may_be_tried = rested.may_be_tried();
            (rested.serving().to_owned(), rested.versions(), may_be_tried)
        };
        let Some((serving, versions, may_be_tried)) = entry.of_rested(as_it_was) else {
            return Ok(());
        };
        if let (false, State::Failed(error)) = (may_be_tried, entry.state()) {
            return Err(again(&error));
        }
        let loaded = self.load_into(entry, Load::to_serve(Some(&serving))).await;
        // It is held, so that it does not rest before the others are there.
        let _held = loaded.map_err(|error| {
            entry.fail_to_wake(&error);
            again(&error)
        })?;
        for version in versions.iter().filter(|version| **version != serving) {
            self.bring_to(entry, version).await;
        }
        Ok(())
    }
}
