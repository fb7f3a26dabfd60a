//! Methods of one small message each way.

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{MethodRouter, post};
use grpc_messages::Message;

use super::super::app::App;
use super::super::deadline::within;
use super::messages::Messages;
use super::{context, deadline, unary};
use crate::engine::Context;
use crate::error::{Error, Result, excerpt};

/// Bytes of such a message at most: it is read on the thread that also serves others.
const MOST: usize = 64 << 10;

/// The method that `answer` answers at once.
pub fn call<Q, A>(answer: impl Fn(&App, Q) -> Result<A> + Clone + Send + Sync + 'static) -> MethodRouter<App>
where
    Q: Message + Default + 'static,
    A: Message + 'static,
{
    work(move |app, asked| std::future::ready(answer(&app, asked)))
}

/// The method that `answer` answers after some work.
pub fn work<Q, A, F>(answer: impl Fn(App, Q) -> F + Clone + Send + Sync + 'static) -> MethodRouter<App>
where
    Q: Message + Default + 'static,
    A: Message + 'static,
    F: Future<Output = Result<A>> + Send,
{
    within_that(context, answer)
}

/// [`work`] that may take its time, as loading a model does: no deadline but the client's own.
pub fn change<Q, A, F>(answer: impl Fn(App, Q) -> F + Clone + Send + Sync + 'static) -> MethodRouter<App>
where
    Q: Message + Default + 'static,
    A: Message + 'static,
    F: Future<Output = Result<A>> + Send,
{
    within_that(|_, headers| deadline(headers).map(Context::until), answer)
}

fn within_that<Q, A, F>(
    context: impl Fn(&App, &HeaderMap) -> Result<Context> + Clone + Send + Sync + 'static,
    answer: impl Fn(App, Q) -> F + Clone + Send + Sync + 'static,
) -> MethodRouter<App>
where
    Q: Message + Default + 'static,
    A: Message + 'static,
    F: Future<Output = Result<A>> + Send,
{
    post(
        async move |State(app): State<App>, request: Request| -> Result<Response> {
            let context = context(&app, request.headers())?;
            within(&context, async {
                let message = Messages::of(app.clone(), request)?.only().await?;
                let asked = small(message)?;
                unary(answer(app, asked).await?.encode_to_vec().into())
            })
            .await
        },
    )
}

/// A message that has no long lists.
///
/// # Errors
/// [`Error::BodyTooLarge`], [`Error::InvalidBody`]
pub fn small<Q: Message + Default>(message: axum::body::Bytes) -> Result<Q> {
    if message.len() > MOST {
        let found = message.len();
        return Err(Error::BodyTooLarge(format!(
            "the message has {found} bytes, at most {MOST} are read here"
        )));
    }
    Q::decode(message).map_err(|error| {
        let why = error.to_string();
        Error::InvalidBody(excerpt(&why).to_string())
    })
}
