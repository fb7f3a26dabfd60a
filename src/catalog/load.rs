//! Loading a version of a model: it is tried, then loaded on the loader's thread.

use std::sync::Arc;

use super::entry::Entry;
use super::loader::Loader;
use super::model::Model;
use super::thread::LoaderThread;
use crate::engine::context::{Event, Progress};
use crate::error::{Error, Result};

/// Which version of a model is loaded, and what for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load<'a> {
    /// The one of model.toml, else the newest, where none is said.
    version: Option<&'a str>,
    /// Whether it answers from then on where no version is asked for.
    pub(super) serves: bool,
    /// Where its progress is told.
    progress: Option<&'a Progress>,
}

impl<'a> Load<'a> {
    /// To answer from then on.
    pub(super) fn to_serve(version: Option<&'a str>) -> Self {
        Self {
            version,
            serves: true,
            progress: None,
        }
    }

    /// Beside what answers.
    pub(super) fn beside(version: &'a str) -> Self {
        Self {
            serves: false,
            ..Self::to_serve(Some(version))
        }
    }

    /// The same, which tells how far it is.
    pub(super) fn telling(self, progress: &'a Progress) -> Self {
        Self {
            progress: Some(progress),
            ..self
        }
    }

    fn tell(&self, stage: &'static str) {
        if let Some(progress) = self.progress {
            progress.tell(Event::Stage(stage));
        }
    }
}

/// Tries a version of a model, loads what was tried on the loader's thread, and does `then` there. What is wrong with the model is
/// the inner error; what is wrong beside that has stopped the thread.
pub(super) async fn load_tried<T: Send + 'static>(
    loader: &Arc<Loader>,
    (entry, what): (&Arc<Entry>, Load<'_>),
    thread: &LoaderThread,
    mut tried: impl FnMut(),
    then: impl Fn(Model) -> T + Clone + Send + 'static,
) -> Result<Result<T>> {
    /// A writer writes its files once, so a few tries suffice.
    const TURNS: usize = 3;
    for _ in 0..TURNS {
        what.tell("trying");
        let found = loader.try_out(&entry.dir, what.version).await;
        tried();
        let stamp = match found {
            Ok(stamp) => stamp,
            Err(error) => return Ok(Err(error)),
        };
        what.tell("loading");
        let (loader, entry) = (Arc::clone(loader), Arc::clone(entry));
        let version = what.version.map(str::to_owned);
        let (of_model, then) = (thread.clone(), then.clone());
        let loading = move || {
            let loaded = loader.load(&entry.dir, version.as_deref(), stamp.as_ref(), &of_model);
            Ok(loaded.map(|model| model.map(then)))
        };
        match thread.run(loading).await? {
            Ok(None) => tracing::info!("a model's files changed while it was tried: it is tried again"),
            Ok(Some(loaded)) => return Ok(Ok(loaded)),
            Err(error) => return Ok(Err(error)),
        }
    }
    let dir = entry.dir.display();
    Ok(Err(Error::model(format!(
        "{dir}: its files changed while it was tried, {TURNS} times; load it when they are whole"
    ))))
}
