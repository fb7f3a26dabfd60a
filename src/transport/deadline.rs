//! How long a client waits.

use std::num::IntErrorKind;
use std::time::{Duration, Instant};

use axum::http::HeaderMap;

use crate::engine::Context;
use crate::error::{Error, Result};

/// The header in which a client says how many milliseconds it waits.
pub const TIMEOUT_HEADER: &str = "X-Request-Timeout-Ms";

/// When the client stops waiting: [`TIMEOUT_HEADER`], else the server's own limit; never after `most`.
///
/// # Errors
/// [`Error::InvalidParameter`] when the header is no positive number, or comes twice.
pub fn deadline(headers: &HeaderMap, default: Option<Duration>, most: Duration) -> Result<Option<Instant>> {
    let now = Instant::now();
    let mut values = headers.get_all(TIMEOUT_HEADER).iter();
    let Some(value) = values.next() else {
        return Ok(Some(now + default.map_or(most, |timeout| timeout.min(most))));
    };
    let wrong = |text: String| Err(Error::parameter(TIMEOUT_HEADER, text));
    if let Some(other) = values.next() {
        return wrong(format!("found {value:?} and {other:?}, expected it once"));
    }
    let text = value.to_str().unwrap_or_default().trim();
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let expected = match text.parse::<u32>() {
        Ok(ms @ 1..) if digits => return Ok(Some(now + Duration::from_millis(ms.into()).min(most))),
        Err(error) if digits && *error.kind() == IntErrorKind::PosOverflow => format!(
            "which is too large: expected a whole number of milliseconds, 1 to {}",
            u32::MAX
        ),
        _ => "expected a whole number of milliseconds, at least 1, in digits alone".to_owned(),
    };
    wrong(format!("found {value:?}, {expected}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_is_no_time_is_refused_with_what_would_be() {
        for (header, expected) in [
            ("soon", "expected a whole number of milliseconds, at least 1"),
            ("0", "expected a whole number of milliseconds, at least 1"),
            ("-5", "expected a whole number of milliseconds, at least 1"),
            ("+5", "in digits alone"),
            (
                "99999999999",
                "too large: expected a whole number of milliseconds, 1 to 4294967295",
            ),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("x-request-timeout-ms", header.parse().expect("a header value"));
            let wrong = deadline(&headers, None, Duration::from_secs(1)).expect_err(header);
            assert!(wrong.to_string().contains(expected), "{header}: {wrong}");
        }
    }

    #[test]
    fn a_header_that_comes_twice_is_refused() {
        let mut headers = HeaderMap::new();
        for value in ["5", "7"] {
            headers.append(TIMEOUT_HEADER, value.parse().expect("a header value"));
        }
        let wrong = deadline(&headers, None, Duration::from_secs(1)).expect_err("which of them?");
        assert!(
            wrong.to_string().contains("\"5\" and \"7\", expected it once"),
            "{wrong}"
        );
    }
}
