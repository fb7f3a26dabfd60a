//! Answers as server-sent events: what becomes known while the work goes on, then the whole answer, or `error`. A client
//! that leaves takes its work out of the queue.

use std::convert::Infallible;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::engine::context;
use crate::error::{Error, Result};

/// An event: its name, and its data as JSON.
#[derive(Debug)]
pub struct Streamed {
    /// Its name.
    pub name: &'static str,
    /// Its data.
    pub json: String,
}

struct Streaming<P, E> {
    known: mpsc::Receiver<context::Event>,
    part: P,
    failed: E,
    work: Option<AbortOnDrop>,
    /// What the work answered, until it is sent.
    last: Option<Result<Streamed>>,
}

struct AbortOnDrop(JoinHandle<Result<Streamed>>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Streams what is `known` while `work` goes on, each event as `part` writes it; then what `work` answers, or what
/// `failed` makes of its error.
pub fn stream(
    known: mpsc::Receiver<context::Event>,
    part: impl Fn(context::Event) -> Streamed + Send + 'static,
    failed: impl Fn(&Error) -> Streamed + Send + 'static,
    work: impl Future<Output = Result<Streamed>> + Send + 'static,
) -> Response {
    let streaming = Streaming {
        known,
        part,
        failed,
        work: Some(AbortOnDrop(tokio::spawn(work))),
        last: None,
    };
    Sse::new(events(streaming))
        .keep_alive(KeepAlive::default())
        .into_response()
}

fn events<P, E>(streaming: Streaming<P, E>) -> impl Stream<Item = Result<Event, Infallible>>
where
    P: Fn(context::Event) -> Streamed,
    E: Fn(&Error) -> Streamed,
{
    stream::unfold(streaming, async move |mut streaming| {
        if let Some(work) = &mut streaming.work {
            tokio::select! {
                biased;
                Some(known) = streaming.known.recv() => return Some((Ok(event((streaming.part)(known))), streaming)),
                // It may be given up while what it asked for still waits somewhere, with the other end of the channel.
                done = &mut work.0 => {
                    streaming.last = Some(done.unwrap_or_else(|e| Err(Error::Internal(e.to_string()))));
                    streaming.work = None;
                }
            }
        }
        streaming.last.as_ref()?;
        if let Ok(known) = streaming.known.try_recv() {
            return Some((Ok(event((streaming.part)(known))), streaming));
        }
        let last = streaming
            .last
            .take()?
            .unwrap_or_else(|error| (streaming.failed)(&error));
        Some((Ok(event(last)), streaming))
    })
}

fn event(streamed: Streamed) -> Event {
    Event::default().event(streamed.name).data(streamed.json)
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;
    use crate::engine::context::{Event, Progress};

    #[tokio::test]
    async fn work_that_ends_is_told_although_somebody_could_still_tell_of_it() {
        let (progress, known) = Progress::channel(4);
        let elsewhere = progress.clone();
        let work = async move {
            progress.tell(Event::Stage("waiting"));
            Err(Error::DeadlineExceeded("too late".into()))
        };
        let part = |_| Streamed {
            name: "part",
            json: "{}".into(),
        };
        let failed = |error: &Error| Streamed {
            name: "error",
            json: error.code().into(),
        };
        let response = stream(known, part, failed, work);
        let body = to_bytes(response.into_body(), 1 << 16).await.expect("events");
        let text = String::from_utf8_lossy(&body);
        assert!(text.contains("event: part"), "{text}");
        assert!(
            text.ends_with("event: error\ndata: deadline_exceeded\n\n"),
            "{text}"
        );
        elsewhere.tell(Event::Stage("loading"));
    }
}
