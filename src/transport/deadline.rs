//! How long a client waits.

use std::time::{Duration, Instant};

use axum::http::HeaderMap;

use crate::engine::Context;
use crate::error::{Error, Result};

/// When the client stops waiting: `X-Request-Timeout-Ms`, else the server's own limit; never after `most`.
///
/// # Errors
/// [`Error::InvalidParameter`] when the header is no positive number.
pub fn deadline(headers: &HeaderMap, default: Option<Duration>, most: Duration) -> Result<Option<Instant>> {
    const NAME: &str = "X-Request-Timeout-Ms";
    let now = Instant::now();
    let Some(value) = headers.get(NAME) else {
        return Ok(Some(now + default.map_or(most, |timeout| timeout.min(most))));
    };
    let ms = value
        .to_str()
        .ok()
        .and_then(|text| text.trim().parse::<u32>().ok())
        .filter(|&ms| ms > 0);
    let ms = ms.ok_or_else(|| {
        Error::parameter(
            NAME,
            format!("found {value:?}, expected a whole number of milliseconds, at least 1"),
        )
    })?;
    Ok(Some(now + Duration::from_millis(ms.into()).min(most)))
}

/// Waits for `work` until the deadline of `context`. When it passes, or when the future is dropped, the request is
/// cancelled, and with it every pass that is still to come.
///
/// # Errors
/// What `work` answers; [`Error::DeadlineExceeded`].
pub async fn within<T>(context: &Context, work: impl Future<Output = Result<T>>) -> Result<T> {
    let leaves = context.cancellation.on_drop();
    let answer = match context.deadline {
        None => work.await,
        Some(deadline) => tokio::time::timeout_at(deadline.into(), work)
            .await
            .unwrap_or_else(|_| Err(Context::late())),
    };
    if answer.is_ok() {
        leaves.disarm();
    }
    answer
}
