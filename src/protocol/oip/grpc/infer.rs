//! `ModelInfer` and `ModelStreamInfer`.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use futures_util::stream::{self, StreamExt};
use grpc_messages::Message;
use grpc_messages::inference::infer_parameter::ParameterChoice;
use grpc_messages::inference::model_infer_response::InferOutputTensor;
use grpc_messages::inference::{
    InferParameter, ModelInferRequest, ModelInferResponse, ModelStreamInferResponse,
};
use grpc_messages::wire::{Fields, Value};
use tracing::Instrument;

use super::super::answer::Answer;
use super::super::inferred::{inferred, scope, terms};
use super::super::request::InferRequest;
use super::super::target::Target;
use super::measure::measured;
use super::request::read;
use crate::engine::Context;
use crate::error::{Error, Result, excerpt};
use crate::image::Taken;
use crate::spans;
use crate::transport::grpc::{self, Messages};
use crate::transport::{App, Caller, Scope, failure, holding, within};

/// Answers one request.
pub(super) async fn infer(State(app): State<App>, request: Request) -> Result<Response> {
    let context = grpc::context(&app, request.headers())?;
    let caller = Caller::of(request.extensions());
    let headers = request.headers().clone();
    within(&context, async {
        let message = Messages::of(app.clone(), request)?.only().await?;
        let (response, held) = answered(&app, (&caller, &headers), message, &context).await?;
        grpc::unary(encoded(&app, response, held).await?)
    })
    .await
}

/// Answers the requests of a stream in their order, several at a time. One that fails is answered with what was wrong, and the
/// stream goes on.
pub(super) async fn stream(State(app): State<App>, request: Request) -> Result<Response> {
    /// Requests of a stream at one time: enough for a batch.
    const SIDE_BY_SIDE: usize = 8;
    let asks = Arc::new(Stream {
        // A deadline is one of the whole stream.
        until: grpc::deadline(request.headers())?,
        headers: request.headers().clone(),
        app: app.clone(),
    });
    let messages = stream::try_unfold(Messages::of(app.clone(), request)?, async |mut messages| {
        let message = messages.next().await?;
        Ok(message.map(|message| ((message, messages.works()), messages)))
    });
    let answers = messages.map(move |message: Result<_>| {
        let asks = Arc::clone(&asks);
        async move {
            let (message, works) = message?;
            let answer = asks.answer(message).await;
            drop(works);
            answer
        }
    });
    let told = move |error: &Error| app.service.metrics().failed(error.code());
    Ok(grpc::stream(answers.buffered(SIDE_BY_SIDE), told))
}

/// What the requests of a stream have in common.
struct Stream {
    app: App,
    until: Option<Instant>,
    headers: HeaderMap,
}

impl Stream {
    async fn answer(&self, message: Bytes) -> Result<Bytes> {
        let mut context = self.app.context(&self.headers)?;
        context.deadline = match (context.deadline, self.until) {
            (Some(own), Some(until)) => Some(own.min(until)),
            (own, until) => own.or(until),
        };
        let id = id(&message);
        // A key may be taken away, and its limits are of requests, while the stream goes on.
        let caller = self.app.keys().admit(&self.headers, Some(Scope::Predict));
        let answered = match caller {
            Ok(caller) => {
                within(
                    &context,
                    answered(&self.app, (&caller, &self.headers), message, &context),
                )
                .await
            }
            Err(error) => Err(error),
        };
        let (response, held) = match answered {
            Ok((mut response, held)) => {
                let last = InferParameter {
                    parameter_choice: Some(ParameterChoice::BoolParam(true)),
                };
                response.parameters.insert("triton_final_response".into(), last);
                (said(String::new(), response), held)
            }
            Err(error) => {
                self.app.service.metrics().failed(error.code());
                tracing::debug!(code = error.code(), %error, "a request of a stream failed");
                let of = ModelInferResponse {
                    id,
                    ..Default::default()
                };
                (said(failure(&error).detail, of), Vec::new())
            }
        };
        encoded(&self.app, response, held).await
    }
}

/// A message of a stream, which tells by its id which request it is of.
fn said(error_message: String, response: ModelInferResponse) -> ModelStreamInferResponse {
    ModelStreamInferResponse {
        error_message,
        infer_response: Some(response),
    }
}

/// The id of a request, as far as its message can be read.
fn id(message: &[u8]) -> String {
    const ID: u32 = 3;
    let mut fields = Fields::of(message).map_while(Result::ok);
    let found = fields.find_map(|field| match field {
        (ID, Value::Bytes(id)) => Some(String::from_utf8_lossy(excerpt_of(id)).into_owned()),
        _ => None,
    });
    found.unwrap_or_default()
}

/// As much of an id as an answer repeats.
fn excerpt_of(id: &[u8]) -> &[u8] {
    const MOST: usize = 1024;
    id.get(..MOST).unwrap_or(id)
}

/// The answer to one request, and what it takes.
async fn answered(
    app: &App,
    (caller, headers): (&Caller, &HeaderMap),
    message: Bytes,
    context: &Context,
) -> Result<(ModelInferResponse, Vec<Taken>)> {
    let started = Instant::now();
    let (target, mut asked, held) = decoded(app, message).await?;
    caller.may(scope(&asked))?;
    let context = terms(&mut asked.parameters, context, started)?;
    let model = target.answering(app, headers, &context).await?;
    model.predict.has_place()?;
    // All of it is raw, whatever the client says of REST's two forms.
    within(&context, async {
        let done = inferred(&app.service, &model, (asked, held), &context).await?;
        let size: usize = done
            .answer
            .outputs
            .iter()
            .map(|(tensor, _)| tensor.binary_size())
            .sum();
        let (answer, held) = done.holding(&app.service, 2 * size as u64).await?;
        Ok((message_of(answer), held))
    })
    .await
}

async fn decoded(app: &App, message: Bytes) -> Result<(Target, InferRequest, Taken)> {
    let decode = |message| {
        let request = ModelInferRequest::decode(message).map_err(|error| {
            let why = error.to_string();
            Error::InvalidBody(excerpt(&why).to_string())
        })?;
        read(request)
    };
    let (length, measures) = (message.len(), message.clone());
    let bytes = app
        .service
        .pool()
        .run_over(length, move || measured(&measures))
        .await?;
    let held = app.service.hold(bytes, 0).await.map_err(|error| match error {
        Error::AnswerTooLarge(_) => Error::InvalidBody(
            "the lists in `contents` take more memory than there is for them (max_answers_mb); send raw_input_contents".into(),
        ),
        other => other,
    })?;
    let work = length.saturating_add(usize::try_from(bytes).unwrap_or(usize::MAX));
    let (target, asked) = app.service.pool().run_over(work, move || decode(message)).await?;
    Ok((target, asked, held))
}

fn message_of(answer: Answer) -> ModelInferResponse {
    let outputs = answer.outputs.into_iter().map(|(tensor, _)| {
        let raw = tensor.binary();
        let output = InferOutputTensor {
            name: tensor.name,
            datatype: tensor.datatype.name().to_owned(),
            shape: tensor.shape,
            ..Default::default()
        };
        (output, raw)
    });
    let (outputs, raw_output_contents) = outputs.unzip();
    ModelInferResponse {
        model_name: answer.model_name,
        model_version: answer.model_version,
        id: answer.id.unwrap_or_default(),
        outputs,
        raw_output_contents,
        ..Default::default()
    }
}

/// The bytes of `message`, which take `held` until their client has them.
async fn encoded(app: &App, message: impl Message + 'static, held: Vec<Taken>) -> Result<Bytes> {
    let work = message.encoded_len();
    let encode = move || Ok(message.encode_to_vec());
    let bytes = app.service.pool().run_over(work, encode);
    Ok(holding(bytes.instrument(spans::encode()).await?, held))
}
