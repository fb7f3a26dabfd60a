//! Bodies that were compressed on their way: `Content-Encoding`, RFC 9110, 8.4.

use async_compression::tokio::bufread::{GzipDecoder, ZlibDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use axum::body::Body;
use axum::http::{HeaderMap, header};
use futures_util::TryStreamExt;
use tokio::io::AsyncRead;
use tokio_util::io::StreamReader;

use crate::error::{Error, Result, excerpt};

/// What is read, as `Accept-Encoding` says it.
pub const ENCODINGS: &str = "gzip, deflate, zstd";

/// The largest window of zstd, as a power of 2: 8 MiB, which its levels up to 19 do not exceed.
const ZSTD_WINDOW: u32 = 23;

/// The bytes of `body` before they were compressed. Whoever reads them bounds how many there may be.
///
/// # Errors
/// [`Error::UnsupportedMediaType`] for an encoding that is not read, and for several at once.
pub(super) fn decoded(headers: &HeaderMap, body: Body) -> Result<Box<dyn AsyncRead + Send + Unpin>> {
    let stream = body.into_data_stream().map_err(std::io::Error::other);
    let raw = StreamReader::new(stream);
    let mut named = headers.get_all(header::CONTENT_ENCODING).iter();
    let encoding = match (named.next(), named.next()) {
        (None, _) => "",
        (Some(one), None) => one.to_str().unwrap_or("?").trim(),
        (Some(_), Some(_)) => "several",
    };
    Ok(match encoding.to_ascii_lowercase().as_str() {
        "" | "identity" => Box::new(raw),
        "gzip" | "x-gzip" => {
            let mut decoder = GzipDecoder::new(raw);
            decoder.multiple_members(true);
            Box::new(decoder)
        }
        "deflate" => Box::new(ZlibDecoder::new(raw)),
        "zstd" => {
            let mut decoder = ZstdDecoder::with_params(raw, &[DParameter::window_log_max(ZSTD_WINDOW)]);
            decoder.multiple_members(true);
            Box::new(decoder)
        }
        other => {
            return Err(Error::UnsupportedMediaType(format!(
                "Content-Encoding: {}; send the body as it is, or with one of {ENCODINGS}",
                excerpt(other)
            )));
        }
    })
}
