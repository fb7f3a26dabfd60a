//! The one error type of the server. Each variant is a promise to clients: its [`Error::code`] is stable,
//! its message names what was wrong and how to mend it. How a code becomes an HTTP status is the business of
//! `transport::failure`.

use std::borrow::Cow;
use std::time::Duration;

/// Result with the crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong with a request or a model folder.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// The request carries nothing to work on.
    #[error("{0}")]
    EmptyBody(String),
    /// The bytes are of a known image format, but cannot be decoded (truncated, corrupt).
    #[error("{0}")]
    InvalidImage(String),
    /// Neither the content type nor the bytes are of a kind the server reads.
    #[error("{0}")]
    UnsupportedMediaType(String),
    /// The header of the image claims more pixels, or more memory, than the limits allow.
    #[error("{0}")]
    ImageTooLarge(String),
    /// The answer would take more memory than the limit.
    #[error("{0}")]
    AnswerTooLarge(String),
    /// The body is longer than the limit.
    #[error("{0}")]
    BodyTooLarge(String),
    /// The body says it is JSON or multipart, but cannot be read as such.
    #[error("{0}")]
    InvalidBody(String),
    /// A parameter is unknown, malformed or out of range.
    #[error("parameter `{name}`: {message}")]
    InvalidParameter {
        /// The parameter's name as the client wrote it.
        name: String,
        /// What was found and what would be right.
        message: String,
    },
    /// There is no object in the picture that could be explained.
    #[error("{0}")]
    NothingDetected(String),
    /// No model of this name is served.
    #[error("{0}")]
    ModelNotFound(String),
    /// The model has no such layer, or the layer has no spatial map; the message names the nearest that has.
    #[error("{0}")]
    LayerNotFound(String),
    /// The model's task has no such operation.
    #[error("{0}")]
    UnsupportedForTask(String),
    /// A model cannot be loaded; the message has a line for each thing to mend.
    #[error("{0}")]
    NotLoaded(String),
    /// The client did not say who it is, or nobody knows it.
    #[error("{0}")]
    Unauthorized(String),
    /// Nobody may do this here, or not this client.
    #[error("{0}")]
    Forbidden(String),
    /// Every place in the queue is taken.
    #[error("the queue of {queue} is full; retry after {} s", seconds(*retry_after))]
    QueueFull {
        /// The queue's name.
        queue: String,
        /// When a place is likely to be free.
        retry_after: Duration,
    },
    /// A limit of the client's own is reached.
    #[error("{limit}; retry after {} s", seconds(*retry_after))]
    RateLimited {
        /// Which.
        limit: String,
        /// When it allows one more.
        retry_after: Duration,
    },
    /// The model is still loading, failed to load, or the server is draining.
    #[error("{0}")]
    NotReady(String),
    /// The request's deadline passed before an answer was ready.
    #[error("{0}")]
    DeadlineExceeded(String),
    /// The client left, or gave its request up, before an answer was ready.
    #[error("{0}")]
    Cancelled(String),
    /// The model raised an error or panicked. The detail is for the log, never for the client.
    #[error("inference failed: {0}")]
    InferenceFailed(String),
    /// PyTorch takes no gradients of the model, and says why. What asks for them names the methods that need none.
    #[error("PyTorch cannot take gradients of this model: {0}")]
    NotDifferentiable(String),
    /// The model answered NaN or infinity where a number belongs.
    #[error("the model answered NaN or infinity: {0}")]
    NotFinite(String),
    /// The device had no memory left for this. The detail is for the log, never for the client.
    #[error("out of memory: {0}")]
    OutOfMemory(String),
    /// The device answers nothing any more. The detail is for the log, never for the client.
    #[error("device lost: {0}")]
    DeviceLost(String),
    /// There is no such route.
    #[error("{0}")]
    RouteNotFound(String),
    /// The route exists, but not for this HTTP method.
    #[error("{0}")]
    MethodNotAllowed(String),
    /// None of the forms that the client accepts can be made.
    #[error("{0}")]
    NotAcceptable(String),
    /// A defect of the server itself. The detail is for the log, never for the client.
    #[error("internal error: {0}")]
    Internal(String),
    /// A model folder is wrong: `problems` has one line for each thing to mend.
    #[error("{}", problems.join("\n"))]
    InvalidModel {
        /// One message a problem, each naming file, key and cure.
        problems: Vec<String>,
    },
    /// The server's own settings are wrong.
    #[error("{0}")]
    InvalidSettings(String),
}

/// The beginning of a text of unknown length, for a message. What a terminal would obey is written out.
#[must_use]
pub fn excerpt(text: &str) -> Cow<'_, str> {
    const MOST: usize = 100;
    let beginning = match text.char_indices().nth(MOST) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}… ({} bytes)", &text[..end], text.len())),
    };
    let is_obeyed = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    if !beginning.contains(is_obeyed) {
        return beginning;
    }
    let written = |c: char| match is_obeyed(c) {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    Cow::Owned(beginning.chars().map(written).collect())
}

/// So many of what `thing` is called: `1 image`, `2 images`.
#[must_use]
pub fn counted(count: usize, thing: &str) -> String {
    match count {
        1 => format!("1 {thing}"),
        _ => format!("{count} {thing}s"),
    }
}

/// Whole seconds that are no less, at least one: a client that waits so long is not refused again.
#[must_use]
pub fn seconds(time: Duration) -> u64 {
    (time.as_millis().div_ceil(1000) as u64).max(1)
}

impl Error {
    /// The stable, machine-readable name of this failure.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::EmptyBody(_) => "empty_body",
            Self::InvalidImage(_) => "invalid_image",
            Self::UnsupportedMediaType(_) => "unsupported_media_type",
            Self::ImageTooLarge(_) => "image_too_large",
            Self::AnswerTooLarge(_) => "answer_too_large",
            Self::BodyTooLarge(_) => "body_too_large",
            Self::InvalidBody(_) => "invalid_body",
            Self::InvalidParameter { .. } => "invalid_parameter",
            Self::NothingDetected(_) => "nothing_detected",
            Self::ModelNotFound(_) => "model_not_found",
            Self::LayerNotFound(_) => "layer_not_found",
            Self::UnsupportedForTask(_) | Self::NotDifferentiable(_) => "unsupported_for_task",
            Self::NotLoaded(_) => "model_not_loaded",
            Self::Unauthorized(_) => "unauthorized",
            Self::Forbidden(_) => "forbidden",
            Self::QueueFull { .. } => "queue_full",
            Self::RateLimited { .. } => "rate_limited",
            Self::NotReady(_) => "not_ready",
            Self::DeadlineExceeded(_) => "deadline_exceeded",
            Self::Cancelled(_) => "cancelled",
            Self::InferenceFailed(_) => "inference_failed",
            Self::NotFinite(_) => "not_finite",
            Self::OutOfMemory(_) => "out_of_memory",
            Self::DeviceLost(_) => "device_lost",
            Self::RouteNotFound(_) => "not_found",
            Self::MethodNotAllowed(_) => "method_not_allowed",
            Self::NotAcceptable(_) => "not_acceptable",
            Self::Internal(_) => "internal_error",
            Self::InvalidModel { .. } => "invalid_model",
            Self::InvalidSettings(_) => "invalid_settings",
        }
    }

    /// An [`Error::InvalidModel`] with one problem.
    pub fn model(problem: impl Into<String>) -> Self {
        Self::InvalidModel {
            problems: vec![problem.into()],
        }
    }

    /// An [`Error::InvalidParameter`] for `name`.
    pub fn parameter(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self::InvalidParameter {
            name: name.into(),
            message: message.into(),
        }
    }
}
