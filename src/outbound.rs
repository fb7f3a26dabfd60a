//! Requests that the server makes itself: to an identity provider, to a collector of traces.

use std::time::Duration;

use ureq::config::ConfigBuilder;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::typestate::AgentScope;

/// How requests are made that may take `patience` each. The machine's authorities are trusted, among which may be a company's
/// own, and no redirection is followed.
pub fn requests(patience: Duration) -> ConfigBuilder<AgentScope> {
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .build();
    ureq::Agent::config_builder()
        .timeout_global(Some(patience))
        .max_redirects(0)
        .tls_config(tls)
}
