//! `lucarne healthcheck`: what tells people and scripts whether a server is ready.

use std::net::SocketAddr;

use axum::http::Uri;
use lucarne_entrypoint::health;

use crate::config::{Flags, Settings};
use crate::error::{Error, Result};

/// Asks `url`, which must be plain http; without one, the server of this program that runs here. Where none does, or several
/// do, it asks at the address that the settings of this process give.
pub(super) fn run(url: Option<String>) -> Result<()> {
    if let Some(url) = url {
        return ask(&url);
    }
    let program = std::env::current_exe().map_err(|e| Error::Internal(format!("this program: {e}")))?;
    let address = match health::listening(&program)[..] {
        [one] => one,
        _ => of_settings(&Settings::read(&Flags::default())?),
    };
    unready(health::ask(&address.to_string(), "/readyz"))
}

fn of_settings(settings: &Settings) -> SocketAddr {
    let public = SocketAddr::new(settings.host, settings.port);
    health::reachable(settings.operations.unwrap_or(public))
}

fn ask(url: &str) -> Result<()> {
    let wrong = |e: &dyn std::fmt::Display| Error::InvalidSettings(format!("--url {url}: {e}"));
    let uri: Uri = url.parse().map_err(|e| wrong(&e))?;
    let authority = uri
        .authority()
        .filter(|_| uri.scheme_str() == Some("http"))
        .ok_or_else(|| wrong(&"expected http://HOST:PORT/PATH"))?;
    let address = format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80));
    unready(health::ask(&address, uri.path()))
}

fn unready(asked: Result<(), health::Unready>) -> Result<()> {
    asked.map_err(|why| Error::NotReady(why.to_string()))
}
