//! How long a client of gRPC waits: `grpc-timeout`.

use std::time::{Duration, Instant};

use axum::http::HeaderMap;

use super::super::app::App;
use crate::engine::Context;
use crate::error::{Error, Result, excerpt};

const HEADER: &str = "grpc-timeout";

/// The context of a request with these headers: that of REST, which ends when `grpc-timeout` says.
///
/// # Errors
/// As [`App::context`]; [`Error::InvalidParameter`] for a timeout that is none.
pub fn context(app: &App, headers: &HeaderMap) -> Result<Context> {
    let mut context = app.context(headers)?;
    if let Some(wanted) = deadline(headers)? {
        context.deadline = Some(context.deadline.map_or(wanted, |own| own.min(wanted)));
    }
    Ok(context)
}

/// When the client stops waiting, if it says so: of a stream, for all of its messages.
///
/// # Errors
/// [`Error::InvalidParameter`] for a timeout that is none.
pub fn deadline(headers: &HeaderMap) -> Result<Option<Instant>> {
    let Some(value) = headers.get(HEADER) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or("?");
    let timeout = parsed(text).ok_or_else(|| {
        let found = excerpt(text);
        Error::parameter(
            HEADER,
            format!("found `{found}`, expected up to 8 digits and one of H, M, S, m, u, n"),
        )
    })?;
    Ok(Some(Instant::now() + timeout))
}

fn parsed(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let is_number = (1..=8).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let count: u64 = digits.parse().ok().filter(|_| is_number)?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_has_a_unit() {
        assert_eq!(parsed("100m"), Some(Duration::from_millis(100)));
        assert_eq!(parsed("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        for wrong in ["", "m", "100", "-1m", "+1m", "123456789u", "1µ", "1 S"] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }
}
