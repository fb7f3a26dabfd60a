//! A caption as server-sent events: `word` for each word as soon as it is certain, then `caption` with the whole
//! answer, or `error` with a code.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::App;
use super::body::Call;
use super::predict::{Predicted, Predictions, run_images};
use crate::error::{Error, Result};
use crate::repository::Model;
use crate::tasks::Options;
use crate::tasks::captioning::Word;

/// Streams the caption of the one image of `call`.
///
/// # Errors
/// None that a client can cause: what fails later is an event.
pub(super) async fn caption(
    app: &App,
    model: Arc<Model>,
    call: Call,
    options: Options,
    deadline: Option<Instant>,
) -> Result<Response> {
    let Options::Captioning(options, _) = options else {
        return Err(Error::Internal("a stream of no captioner".into()));
    };
    let keys = model.subject.manifest.output.captioning.as_ref();
    let room = options
        .max_length
        .or(keys.map(|keys| keys.max_length))
        .unwrap_or(1);
    let (listener, words) = mpsc::channel(room.max(1));
    let options = Options::Captioning(options, Some(listener));
    let app = app.clone();
    let started = Instant::now();
    let work = async move { run_images(&app, model, call, options, started, deadline).await };
    let work = tokio::spawn(super::within(deadline, work));
    let streaming = Streaming {
        words,
        work: Some(AbortOnDrop(work)),
    };
    Ok(Sse::new(events(streaming))
        .keep_alive(KeepAlive::default())
        .into_response())
}

struct Streaming {
    words: mpsc::Receiver<Word>,
    work: Option<AbortOnDrop>,
}

/// A client that leaves takes its caption out of the queue.
struct AbortOnDrop(JoinHandle<Result<Predicted>>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn events(streaming: Streaming) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(streaming, async |mut streaming| {
        if let Some(word) = streaming.words.recv().await {
            return Some((Ok(event("word", &word)), streaming));
        }
        // The channel closed: the caption is done, or it failed.
        let mut work = streaming.work.take()?;
        let done = (&mut work.0)
            .await
            .unwrap_or_else(|e| Err(Error::Internal(e.to_string())));
        let last = match done {
            Ok(predicted) => event("caption", &Predictions::from(predicted)),
            Err(error) => event("error", &super::problem::brief(&error)),
        };
        Some((Ok(last), streaming))
    })
}

fn event(name: &str, data: &impl serde::Serialize) -> Event {
    let event = Event::default().event(name);
    event
        .json_data(data)
        .unwrap_or_else(|_| Event::default().event("error").data("{}"))
}
