//! A caption as events, word by word.

use std::sync::Arc;
use std::time::Instant;

use axum::response::Response;

use super::written::json;
use super::{answer, problem};
use crate::catalog::{Model, Predict};
use crate::engine::Context;
use crate::engine::context::{Event, Progress};
use crate::error::Error;
use crate::service::{Originals, Pictures};
use crate::tasks::captioning::{self, Caption};
use crate::transport::{App, Streamed, stream, within};

/// Streams the caption of one image: `word` for each word as soon as it is certain, then `caption`.
pub(super) fn events(
    app: &App,
    model: Arc<Model>,
    (pictures, options): (Pictures, captioning::Options),
    started: Instant,
    context: Context,
) -> Response {
    let keys = model.spec.manifest.output.captioning.as_ref();
    // Room for a whole caption, so that no word is missed.
    let room = options.max_length().or(keys.map(|keys| keys.max_length));
    let (progress, words) = Progress::channel(room.unwrap_or(1));
    let context = Context { progress, ..context };
    let service = app.service.clone();
    let work = async move {
        let Predict::Captioning(engine) = &model.predict else {
            return Err(Error::UnsupportedForTask(
                "only a captioner answers word by word".into(),
            ));
        };
        let caption = async {
            let pictures = (pictures, Originals::Dropped);
            let done = service.predict::<Caption>(&model, engine, pictures, &options, &context);
            json(&service, done.await?, started).await
        };
        answer::last_event("caption", within(&context, caption).await?)
    };
    stream(words, word, problem::event, work)
}

/// A word as an event.
fn word(event: Event) -> Streamed {
    let json = match event {
        Event::Word { index, text } => serde_json::json!({"index": index, "text": text}),
        Event::Passes(passes) => serde_json::json!({"done": passes.done, "planned": passes.planned}),
        Event::Stage(stage) => serde_json::json!({"stage": stage}),
    };
    Streamed {
        name: "word",
        json: json.to_string(),
    }
}
