//! `lucarne healthcheck`: what a container's HEALTHCHECK runs, so that its image needs no curl.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::http::Uri;
use clap::Parser;

use super::{Cli, Command};
use crate::config::{Flags, Settings};
use crate::error::{Error, Result};

const PATIENCE: Duration = Duration::from_secs(3);

/// Bytes of an answer that are read at most.
const MOST_BYTES: u64 = 64 << 10;

/// Asks `url`, which must be plain http; without one, the server that runs here.
pub(super) fn run(url: Option<String>) -> Result<()> {
    match url {
        Some(url) => ask(&url),
        None => ask(&url_of(&settings()?)?),
    }
}

/// Those of the one server of this program that runs in this container or on this machine, flags included. Where none runs,
/// or several, those that this process's own environment gives.
fn settings() -> Result<Settings> {
    let mut servers = servers();
    let one = if servers.len() == 1 { servers.pop() } else { None };
    let Some(server) = one else {
        return Settings::read(&Flags::default());
    };
    let mut flags = server.flags;
    // Its relative paths begin at its folder, not at that of this process.
    flags.config = flags.config.map(|file| server.folder.join(file));
    let mut settings = Settings::read(&flags)?;
    settings.port_file = settings.port_file.map(|file| server.folder.join(file));
    Ok(settings)
}

/// A `lucarne serve` that runs.
struct Running {
    flags: Flags,
    /// The folder that it works in, as other processes name it.
    folder: PathBuf,
}

fn servers() -> Vec<Running> {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let own = std::fs::read_link("/proc/self/exe").ok();
    let running = |process: &Path| {
        // A process of another user, or one that has ended since, cannot be read.
        let same = own.is_some() && std::fs::read_link(process.join("exe")).ok() == own;
        let text = same.then(|| std::fs::read(process.join("cmdline")).ok())??;
        let arguments = text.strip_suffix(b"\0")?.split(|byte| *byte == 0);
        let line = Cli::try_parse_from(arguments.map(|word| OsString::from_vec(word.to_vec()))).ok()?;
        let Command::Serve(flags) = line.command else {
            return None;
        };
        let folder = process.join("cwd");
        Some(Running {
            flags: *flags,
            folder,
        })
    };
    processes
        .filter_map(|process| running(&process.ok()?.path()))
        .collect()
}

/// Where a server with these settings says whether it is ready.
fn url_of(settings: &Settings) -> Result<String> {
    let host = match settings.host {
        IpAddr::V4(any) if any.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(any) if any.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        host => host,
    };
    let port = match (settings.port, &settings.port_file) {
        (0, Some(file)) => std::fs::read_to_string(file)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .ok_or_else(|| Error::NotReady(format!("--port-file {} holds no port yet", file.display())))?,
        (0, None) => {
            let text = "the server's port is 0, the system's choice: give --url, or the server a --port-file";
            return Err(Error::InvalidSettings(text.into()));
        }
        (port, _) => port,
    };
    Ok(format!("http://{}/readyz", SocketAddr::new(host, port)))
}

fn ask(url: &str) -> Result<()> {
    let wrong = |e: &dyn std::fmt::Display| Error::InvalidSettings(format!("--url {url}: {e}"));
    let uri: Uri = url.parse().map_err(|e| wrong(&e))?;
    let host = uri
        .host()
        .filter(|_| uri.scheme_str() == Some("http"))
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
    let mut answer = BufReader::new(stream.take(MOST_BYTES));
    let mut status = String::new();
    answer.read_line(&mut status).map_err(failed)?;
    if status.split(' ').nth(1) == Some("200") {
        return Ok(());
    }
    let mut rest = String::new();
    // Without a body that says more, the status stands alone.
    drop(answer.read_to_string(&mut rest));
    let reason = reason(&rest).unwrap_or_default();
    Err(Error::NotReady(format!(
        "{url} answered {}{reason}",
        status.trim()
    )))
}

/// What an answer, headers and all, says is missing.
fn reason(answer: &str) -> Option<String> {
    let (_, body) = answer.split_once("\r\n\r\n")?;
    let problem: serde_json::Value = serde_json::from_str(body).ok()?;
    Some(format!(": {}", problem.get("detail")?.as_str()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_say_where_to_ask() {
        let url = |host: &str, port| {
            url_of(&Settings {
                host: host.parse().expect("an address"),
                port,
                ..Settings::default()
            })
        };
        for (host, expected) in [
            ("0.0.0.0", "http://127.0.0.1:9000/readyz"),
            ("10.1.2.3", "http://10.1.2.3:9000/readyz"),
            ("::", "http://[::1]:9000/readyz"),
        ] {
            assert_eq!(url(host, 9000).expect("an address"), expected);
        }
        assert!(url("127.0.0.1", 0).is_err());
    }

    #[test]
    fn a_server_that_is_not_ready_says_why() {
        let answer = "content-type: application/problem+json\r\n\r\n{\"detail\": \"no model is served\"}";
        assert_eq!(reason(answer).as_deref(), Some(": no model is served"));
        assert_eq!(reason("server: another\r\n\r\n<html>"), None);
    }
}
