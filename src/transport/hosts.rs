//! Under which names a server may be called that listens for its own machine alone.
//!
//! A page of somebody else that a browser on this machine shows may have its own name lead to 127.0.0.1, and then read what the server
//! answers: to the browser both are one site. The name that it calls gives it away.

use std::net::IpAddr;

use axum::http::header::HOST;

use super::open::Listener;
use crate::config::Settings;
use crate::error::{Error, Result, excerpt};

/// The names that a request may call the server by.
#[derive(Debug)]
pub(super) struct Hosts {
    /// Whether what listens for everybody does so for this machine alone, and what does for operators.
    is_local: [bool; 2],
    allowed: Vec<String>,
}

impl Hosts {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            is_local: [
                settings.host.is_loopback(),
                settings
                    .operations
                    .is_some_and(|address| address.ip().is_loopback()),
            ],
            allowed: settings
                .allowed_hosts
                .iter()
                .map(|name| name.to_ascii_lowercase())
                .collect(),
        }
    }

    /// Whether `request` names one host, by which this server may be called.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] where it names several (RFC 9112, 3.2): a proxy before this server may have believed
    /// another of them. [`Error::Forbidden`]
    pub(super) fn check<B>(&self, request: &axum::http::Request<B>) -> Result<()> {
        let mut headers = request.headers().get_all(HOST).into_iter();
        let header = headers.next().map(|host| host.to_str().unwrap_or("?.?"));
        if headers.next().is_some() {
            return Err(Error::parameter(
                "Host",
                "a request has one, and this one several",
            ));
        }
        let host = request
            .uri()
            .authority()
            .map(axum::http::uri::Authority::as_str)
            .or(header);
        let is_local = match request.extensions().get() {
            Some(Listener::Operations) => self.is_local[1],
            Some(Listener::Public) | None => self.is_local[0],
        };
        match host {
            Some(host) if is_local && !self.allows(host) => Err(Error::Forbidden(format!(
                "the server listens for its own machine and is called `{}`; call it localhost, by its address or by a name without a dot, or start it with \
                 --allowed-host NAME",
                excerpt(host)
            ))),
            _ => Ok(()),
        }
    }

    fn allows(&self, host: &str) -> bool {
        let (name, rest) = match host.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
            Some((name, rest)) => (name, rest),
            None => host.split_at(host.find(':').unwrap_or(host.len())),
        };
        let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
        if !rest.is_empty() && !rest.strip_prefix(':').is_some_and(is_port) {
            return false;
        }
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        // A name without a dot is nobody's in the world: that of a container, or of this machine.
        let is_local = !name.contains('.') || name.ends_with(".localhost");
        is_local || name.parse::<IpAddr>().is_ok() || self.allowed.contains(&name)
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::{HeaderValue, Request};

    use super::*;

    fn is_allowed(host: &str, listening: &str) -> bool {
        let hosts = Hosts::new(&Settings {
            host: listening.parse().expect("an address"),
            allowed_hosts: vec!["Lucarne.test".into()],
            ..Settings::default()
        });
        let request = Request::get("/")
            .header(HOST, host)
            .body(Body::empty())
            .expect("a request");
        hosts.check(&request).is_ok()
    }

    #[test]
    fn another_name_is_none_of_this_machine_s() {
        for host in [
            "localhost:8080",
            "LOCALHOST",
            "127.0.0.1:8080",
            "[::1]:8080",
            "a.localhost",
            "lucarne.test:1",
            "10.0.0.1",
            "lucarne",
            "",
        ] {
            assert!(is_allowed(host, "127.0.0.1"), "{host}");
        }
        for host in [
            "evil.example:8080",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "[::1].evil.example",
            "127.0.0.1:evil.example",
        ] {
            assert!(!is_allowed(host, "127.0.0.1"), "{host}");
            assert!(is_allowed(host, "0.0.0.0"), "{host}");
        }
    }

    #[test]
    fn a_request_names_one_host() {
        let mut request = Request::get("/").body(Body::empty()).expect("a request");
        let hosts = Hosts::new(&Settings::default());
        assert!(hosts.check(&request).is_ok());
        for known in [true, false] {
            request
                .headers_mut()
                .append(HOST, HeaderValue::from_static("localhost"));
            assert_eq!(hosts.check(&request).is_ok(), known);
        }
    }
}
