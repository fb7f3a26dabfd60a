//! `lucarne healthcheck`: what a container's HEALTHCHECK runs, so that its image needs no curl.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use axum::http::Uri;

use crate::error::{Error, Result};

const PATIENCE: Duration = Duration::from_secs(3);

/// Asks `url`, which must be plain http.
pub(super) fn ask(url: &str) -> Result<()> {
    let wrong = |e: &dyn std::fmt::Display| Error::InvalidSettings(format!("--url {url}: {e}"));
    let uri: Uri = url.parse().map_err(|e| wrong(&e))?;
    let host = uri
        .host()
        .ok_or_else(|| wrong(&"expected http://HOST:PORT/PATH"))?;
    let failed = |e: std::io::Error| Error::NotReady(format!("{url} does not answer: {e}"));
    let mut stream =
        TcpStream::connect((host.trim_matches(['[', ']']), uri.port_u16().unwrap_or(80))).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    write!(
        stream,
        "GET {} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n",
        uri.path()
    )
    .map_err(failed)?;
    let mut status = String::new();
    BufReader::new(stream).read_line(&mut status).map_err(failed)?;
    if status.split(' ').nth(1) == Some("200") {
        return Ok(());
    }
    Err(Error::NotReady(format!("{url} answered {}", status.trim())))
}
