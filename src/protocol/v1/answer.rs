//! An answer as bytes. It is written on the pool: a mask or a PNG in JSON is work, too.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::accept::Form;
use super::problem;
use super::wire::Passes;
use crate::engine::Context;
use crate::engine::context::{Event, Progress};
use crate::error::{Error, Result};
use crate::image::Taken;
use crate::transport::{Streamed, holding, stream, within};

/// A whole body, which holds the memory that was counted for it until it is sent.
#[derive(Debug)]
pub struct Answer {
    /// Its form.
    pub form: Form,
    /// The whole body.
    pub bytes: Vec<u8>,
    /// The memory that it takes, if it was counted.
    held: Vec<Taken>,
}

impl Answer {
    /// `value` as JSON.
    ///
    /// # Errors
    /// [`Error::Internal`] when it cannot be written.
    pub(super) fn json(value: &impl Serialize) -> Result<Self> {
        let bytes = serde_json::to_vec(value).map_err(|e| Error::Internal(e.to_string()))?;
        Ok(Self::of(Form::Json, bytes))
    }

    /// A PNG.
    pub(super) fn png(bytes: Vec<u8>) -> Self {
        Self::of(Form::Png, bytes)
    }

    /// An NPY file.
    pub(super) fn npy(bytes: Vec<u8>) -> Self {
        Self::of(Form::Npy, bytes)
    }

    /// An archive of NPY files.
    pub(super) fn npz(bytes: Vec<u8>) -> Self {
        Self::of(Form::Npz, bytes)
    }

    fn of(form: Form, bytes: Vec<u8>) -> Self {
        Self {
            form,
            bytes,
            held: Vec::new(),
        }
    }

    /// The same, which takes `held` until its client has it.
    pub(super) fn holding(mut self, held: impl IntoIterator<Item = Taken>) -> Self {
        self.held.extend(held);
        self
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let bytes = holding(self.bytes, self.held);
        ([(header::CONTENT_TYPE, self.form.media_type())], bytes).into_response()
    }
}

/// `answer`, which is JSON, as the last event of a stream.
pub(super) fn last_event(name: &'static str, answer: Answer) -> Result<Streamed> {
    let json = String::from_utf8(answer.bytes).map_err(|e| Error::Internal(e.to_string()))?;
    Ok(Streamed { name, json })
}

/// Streams progress while `work` goes on, then what it answers, under the name `last`.
pub(super) fn with_progress<W>(
    last: &'static str,
    context: &Context,
    work: impl FnOnce(Context) -> W,
) -> Response
where
    W: Future<Output = Result<Answer>> + Send + 'static,
{
    let (progress, passes) = Progress::channel(PROGRESS_KEPT);
    let context = Context {
        progress,
        ..context.clone()
    };
    let work = work(context.clone());
    let work = async move { last_event(last, within(&context, work).await?) };
    stream(passes, told, problem::event, work)
}

/// Events that wait for a slow client; of those that come while so many wait, none is kept.
const PROGRESS_KEPT: usize = 16;

/// Progress as an event.
fn told(event: Event) -> Streamed {
    let json = match event {
        Event::Passes(passes) => serde_json::to_string(&Passes::from(passes)),
        Event::Word { text, .. } => serde_json::to_string(&text),
        Event::Stage(stage) => serde_json::to_string(&serde_json::json!({"stage": stage})),
    };
    Streamed {
        name: "progress",
        json: json.unwrap_or_else(|_| "{}".into()),
    }
}
