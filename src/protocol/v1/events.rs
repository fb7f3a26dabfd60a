//! Answers as server-sent events: what becomes known while the work goes on, then the whole answer, or `error` with a
//! code. A client that leaves takes its work out of the queue.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::App;
use super::body::Call;
use super::predict::{Clock, Predictions, run_undrawn};
use crate::error::{Error, Result};
use crate::explain::Listener;
use crate::catalog::Model;
use crate::tasks::Options;

/// Numbers of progress that wait for a slow client; later ones replace none, but are left out.
const PROGRESS_KEPT: usize = 16;

/// Streams the caption of the one image of `call`: `word` for each word as soon as it is certain, then `caption`.
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
    let keys = model.spec.manifest.output.captioning.as_ref();
    let room = options
        .max_length
        .or(keys.map(|keys| keys.max_length))
        .unwrap_or(1);
    let (listener, words) = mpsc::channel(room.max(1));
    let options = Options::Captioning(options, Some(listener));
    let app = app.clone();
    let started = Instant::now();
    let work = async move {
        let clock = Clock { started, deadline };
        Ok(Predictions::from(
            run_undrawn(&app, model, call, options, clock).await?,
        ))
    };
    Ok(respond("word", words, "caption", super::within(deadline, work)))
}

/// Streams `progress` while `work` goes on, then what it answers, under the name `last`.
pub(super) fn progress<T, W>(
    last: &'static str,
    deadline: Option<Instant>,
    work: impl FnOnce(Listener) -> W,
) -> Response
where
    T: Serialize + Send + 'static,
    W: Future<Output = Result<T>> + Send + 'static,
{
    let (listener, passes) = mpsc::channel(PROGRESS_KEPT);
    respond("progress", passes, last, super::within(deadline, work(listener)))
}

struct Streaming<P, T> {
    parts: mpsc::Receiver<P>,
    work: Option<AbortOnDrop<T>>,
}

struct AbortOnDrop<T>(JoinHandle<Result<T>>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Events of the name `part` until their channel closes, then one of the name `last`.
fn respond<P, T>(
    part: &'static str,
    parts: mpsc::Receiver<P>,
    last: &'static str,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Response
where
    P: Serialize + Send + 'static,
    T: Serialize + Send + 'static,
{
    let streaming = Streaming {
        parts,
        work: Some(AbortOnDrop(tokio::spawn(work))),
    };
    Sse::new(events(part, last, streaming))
        .keep_alive(KeepAlive::default())
        .into_response()
}

fn events<P: Serialize, T: Serialize>(
    part: &'static str,
    last: &'static str,
    streaming: Streaming<P, T>,
) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(streaming, async move |mut streaming| {
        if let Some(known) = streaming.parts.recv().await {
            return Some((Ok(event(part, &known)), streaming));
        }
        // The channel closed: the work is done, or it failed.
        let mut work = streaming.work.take()?;
        let done = (&mut work.0)
            .await
            .unwrap_or_else(|e| Err(Error::Internal(e.to_string())));
        let last = match done {
            Ok(answer) => event(last, &answer),
            Err(error) => event("error", &super::problem::brief(&error)),
        };
        Some((Ok(last), streaming))
    })
}

fn event(name: &str, data: &impl Serialize) -> Event {
    let event = Event::default().event(name);
    event
        .json_data(data)
        .unwrap_or_else(|_| Event::default().event("error").data("{}"))
}
