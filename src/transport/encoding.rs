//! Bodies that were compressed on their way: `Content-Encoding`, RFC 9110, 8.4.

use async_compression::tokio::bufread::{GzipDecoder, ZlibDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use axum::body::Body;
use axum::http::{HeaderMap, header};
use futures_util::TryStreamExt;
use tokio::io::AsyncRead;
use tokio_util::io::StreamReader;

use super::expansion::{Expansion, SaysNothing};
use crate::error::{Error, Result, excerpt};

/// What is read, as `Accept-Encoding` says it.
pub(super) const ENCODINGS: &str = "gzip, deflate, zstd";

/// The largest window of zstd, as a power of 2: 8 MiB, which its levels up to 19 do not exceed.
const ZSTD_WINDOW: u32 = 23;

/// What is wrong with a body that could not be read to its end, whose request had these headers, and what mends it.
pub(super) fn broken(headers: &HeaderMap, error: &std::io::Error) -> Error {
    let encoding = encoding(headers);
    let of_socket = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<axum::Error>());
    let says_nothing = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<SaysNothing>());
    let cure = match encoding.as_str() {
        _ if says_nothing.is_some() => "send one stream that holds the whole body",
        _ if of_socket.is_some() => return Error::InvalidBody(format!("the body broke off: {error}")),
        "" => return Error::InvalidBody(format!("the body broke off: {error}")),
        "deflate" => {
            "it is not in zlib's format, which deflate stands for (RFC 9110, 8.4.1.2), or is damaged; compress it \
                      with zlib's header and checksum, or send it as gzip"
        }
        "zstd" => {
            "it is damaged, or made with a window of more than 8 MiB; compress it again with level 19 at most and without \
                   --long"
        }
        _ => "it is damaged or cut off; compress it again",
    };
    Error::InvalidBody(format!(
        "the body cannot be read as Content-Encoding: {encoding} ({error}): {cure}"
    ))
}

/// What `Content-Encoding` names, in lower case and without `identity`, which is none.
fn encoding(headers: &HeaderMap) -> String {
    let lines = headers.get_all(header::CONTENT_ENCODING).iter();
    let named = lines.flat_map(|line| line.to_str().unwrap_or("?").split(','));
    let named = named.map(|name| name.trim().to_ascii_lowercase());
    let named: Vec<_> = named
        .filter(|name| !name.is_empty() && name != "identity")
        .collect();
    named.join(", ")
}

/// The bytes of `body` before they were compressed. The reader bounds how many there may be.
///
/// # Errors
/// [`Error::UnsupportedMediaType`] for an encoding that is not read, and for several at once.
pub(super) fn decoded(headers: &HeaderMap, body: Body) -> Result<Box<dyn AsyncRead + Send + Unpin>> {
    let stream = body.into_data_stream().map_err(std::io::Error::other);
    Ok(match encoding(headers).as_str() {
        "" => Box::new(StreamReader::new(stream)),
        "gzip" | "x-gzip" => Expansion::of(stream, |raw| {
            let mut decoder = GzipDecoder::new(raw);
            decoder.multiple_members(true);
            decoder
        }),
        "deflate" => Expansion::of(stream, ZlibDecoder::new),
        "zstd" => Expansion::of(stream, |raw| {
            let mut decoder = ZstdDecoder::with_params(raw, &[DParameter::window_log_max(ZSTD_WINDOW)]);
            decoder.multiple_members(true);
            decoder
        }),
        other => {
            return Err(Error::UnsupportedMediaType(format!(
                "Content-Encoding: {}; send the body as it is, or with one of {ENCODINGS}",
                excerpt(other)
            )));
        }
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    async fn read(encoding: &str, body: Vec<u8>) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_ENCODING,
            encoding.parse().expect("a header value"),
        );
        let mut reader = decoded(&headers, Body::from(body)).expect("it is known");
        let error = reader
            .read_to_end(&mut Vec::new())
            .await
            .expect_err("it is broken");
        broken(&headers, &error).to_string()
    }

    #[tokio::test]
    async fn a_compressed_body_that_is_broken_is_refused_with_its_cure() {
        let noise: Vec<u8> = (0..9999u32).map(|i| (i * i % 251) as u8).collect();
        let zstd = zstd::encode_all(&noise[..], 3).expect("memory");
        for (encoding, body, cure) in [
            ("deflate", noise.clone(), "zlib's header and checksum"),
            ("gzip", noise.clone(), "compress it again"),
            ("zstd", noise, "damaged"),
            ("zstd", zstd[..zstd.len() / 2].to_vec(), "damaged"),
        ] {
            let said = read(encoding, body).await;
            assert!(said.contains(&format!("Content-Encoding: {encoding}")), "{said}");
            assert!(said.contains(cure), "{said}");
        }
    }

    #[tokio::test]
    async fn a_compressed_body_that_says_nothing_is_refused() {
        let empty = |encoding: &str| match encoding {
            "gzip" => [&b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x03"[..], &[0; 9]].concat(),
            _ => zstd::encode_all(&[][..], 3).expect("memory"),
        };
        for encoding in ["gzip", "zstd"] {
            let members = empty(encoding).repeat(1 << 18);
            let said = read(encoding, members).await;
            assert!(said.contains("one stream"), "{said}");
        }
        // Stored blocks without a byte.
        let blocks = [b"\x78\x01".to_vec(), b"\0\0\0\xff\xff".repeat(1 << 19)].concat();
        let said = read("deflate", blocks).await;
        assert!(said.contains("one stream"), "{said}");
    }

    #[tokio::test]
    async fn a_body_that_was_flushed_often_is_read() {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        let said: Vec<u8> = (0..1u32 << 20).map(|i| (i * i % 251) as u8).collect();
        for bytes in said.chunks(4) {
            encoder.write_all(bytes).expect("memory");
            encoder.flush().expect("memory");
        }
        let body = encoder.finish().expect("memory");
        assert!(body.len() > 2 * said.len(), "{} bytes", body.len());
        let mut headers = HeaderMap::new();
        // None, and then one.
        headers.insert(
            header::CONTENT_ENCODING,
            "identity, GZip".parse().expect("a value"),
        );
        let mut read = Vec::new();
        let mut reader = decoded(&headers, Body::from(body)).expect("it is known");
        reader.read_to_end(&mut read).await.expect("it is whole");
        assert!(read == said);
    }

    #[test]
    fn two_encodings_at_once_are_refused() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, "gzip".parse().expect("a value"));
        headers.append(header::CONTENT_ENCODING, "zstd".parse().expect("a value"));
        let refused = decoded(&headers, Body::empty()).err().expect("two").to_string();
        assert!(refused.contains("gzip, zstd"), "{refused}");
    }

    #[tokio::test]
    async fn a_window_of_zstd_that_is_too_large_is_refused_with_its_cure() {
        use std::io::Write;
        let mut encoder = zstd::Encoder::new(Vec::new(), 3).expect("memory");
        encoder.window_log(ZSTD_WINDOW + 2).expect("a window");
        encoder.write_all(&vec![7; 40 << 20]).expect("memory");
        let said = read("zstd", encoder.finish().expect("memory")).await;
        assert!(said.contains("without --long"), "{said}");
    }
}
