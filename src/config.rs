//! The server's settings: defaults, then those of the installation, then the file, then `LUCARNE_…` variables, then flags.
//! Everything is validated before anything starts.

mod flags;
mod installation;
mod validation;
mod variables;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::Figment;
use figment::providers::{Format, Serialized, Toml};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
pub use flags::{Flags, LogFormat, ModelControl};
pub use installation::revision;
use serde_json::Value;
use variables::Variables;

/// The largest `max_images` that can be set.
pub const MOST_IMAGES: usize = 1024;

/// Settings that are right. Each key is a flag (`--max-body-mb`), a variable (`LUCARNE_MAX_BODY_MB`) and a key of
/// the file (`max_body_mb`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The folder of models.
    pub models: PathBuf,
    /// How models come and go while the server runs.
    pub model_control: ModelControl,
    /// How often the folder of models is looked at where [`ModelControl::Poll`] says so.
    pub poll_interval_s: u64,
    /// Whether a model is tried in a process of its own before it serves.
    pub try_models: bool,
    /// How long a model may take to be tried.
    pub load_timeout_s: u64,
    /// Memory that a model may take while it is tried, in MiB; 0 for three quarters of the machine's.
    pub max_model_mb: u64,
    /// Where it is remembered which models have passed; without it in the user's folder for such files.
    pub cache_dir: Option<PathBuf>,
    /// The address to listen on.
    pub host: IpAddr,
    /// The port to listen on; 0 lets the system choose.
    pub port: u16,
    /// Where to write the port once it is known.
    pub port_file: Option<PathBuf>,
    /// Bytes of a body at most, in MiB.
    pub max_body_mb: u64,
    /// Bytes of all bodies at one time, in MiB; one client may take half of them.
    pub max_inflight_mb: u64,
    /// Bytes that all large pictures take together while they are decoded, in MiB; one may take all of them. Pictures of
    /// less than 5 million pixels have 24 MiB a thread beside that.
    pub max_decode_mb: u64,
    /// Bytes of all answers, and of the pictures that are kept to be drawn on, until their clients have them, in MiB.
    pub max_answers_mb: u64,
    /// Pixels of an image at most, in millions.
    pub max_image_mpx: u64,
    /// Images in one request at most.
    pub max_images: usize,
    /// Saliency maps in one request at most, of all images, targets and layers.
    pub max_maps: usize,
    /// Passes through a model for one explanation request at most, forward and backward.
    pub max_passes: usize,
    /// Connections at one time at most; never more than the limit of open files leaves room for.
    pub max_connections: usize,
    /// How long the head of a request may take to arrive.
    pub header_timeout_s: u64,
    /// How long a connection may be without a request.
    pub idle_timeout_s: u64,
    /// How long a body may take to arrive.
    pub body_timeout_s: u64,
    /// How long a client may send nothing of a body, or take nothing of an answer.
    pub stall_timeout_s: u64,
    /// What a client must send or take in a second, on average and beyond that time, in KiB.
    pub min_rate_kb: u64,
    /// How long a request may take when it does not say so itself; 0 for as long as any may.
    pub request_timeout_ms: u64,
    /// How long any request may take.
    pub max_request_timeout_ms: u64,
    /// A server with a pass that takes longer than this is not ready.
    pub max_pass_s: u64,
    /// How long requests under way may take after SIGTERM.
    pub drain_timeout_s: u64,
    /// Threads that decode images; 0 for one a core.
    pub decode_threads: usize,
    /// The server's certificate in PEM, with those between it and its authority's; with it, the server speaks TLS.
    pub tls_certificate: Option<PathBuf>,
    /// The key of the certificate, in PEM.
    pub tls_key: Option<PathBuf>,
    /// Certificates of authorities, in PEM, whose clients alone are let in.
    pub tls_client_authorities: Option<PathBuf>,
    /// An address of its own for operators, in the clear.
    pub operations: Option<SocketAddr>,
    /// A file on which the server listens as well, for processes of this machine, in the clear.
    pub unix_socket: Option<PathBuf>,
    /// A file of keys, their scopes and limits; without one, everybody may do everything.
    pub keys_file: Option<PathBuf>,
    /// The public keys of an identity provider (JWKS), a file or an address with HTTPS, whose tokens are taken as keys.
    pub jwks: Option<String>,
    /// `iss` of the provider's tokens.
    pub jwt_issuer: Option<String>,
    /// `aud` of the tokens that are for this server.
    pub jwt_audience: Option<String>,
    /// Names by which clients may call a server that listens on a loopback address, besides addresses and names without a dot.
    pub allowed_hosts: Vec<String>,
    /// Origins that browsers may call from; `*` for any.
    pub cors_origins: Vec<String>,
    /// Where traces are told (OTLP over HTTP), such as `http://collector:4318`; without it, nowhere.
    pub otlp_endpoint: Option<String>,
    /// One in so many requests is traced. A client that says whether its request is traced is followed.
    pub trace_one_in: u64,
    /// A filter such as `info` or `lucarne=debug,tower_http=info`.
    pub log: String,
    /// How log lines look.
    pub log_format: LogFormat,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            models: "models".into(),
            model_control: ModelControl::None,
            poll_interval_s: 15,
            try_models: true,
            load_timeout_s: 300,
            max_model_mb: 0,
            cache_dir: None,
            host: IpAddr::from([127, 0, 0, 1]),
            port: 8080,
            port_file: None,
            max_body_mb: 32,
            max_inflight_mb: 128,
            max_decode_mb: 192,
            max_answers_mb: 144,
            max_image_mpx: 64,
            max_images: 32,
            max_maps: 64,
            max_passes: 100_000,
            max_connections: 1024,
            header_timeout_s: 10,
            idle_timeout_s: 75,
            body_timeout_s: 30,
            stall_timeout_s: 10,
            min_rate_kb: 64,
            request_timeout_ms: 60_000,
            max_request_timeout_ms: 600_000,
            max_pass_s: 60,
            drain_timeout_s: 30,
            decode_threads: 0,
            tls_certificate: None,
            tls_key: None,
            tls_client_authorities: None,
            operations: None,
            unix_socket: None,
            keys_file: None,
            jwks: None,
            jwt_issuer: None,
            jwt_audience: None,
            allowed_hosts: Vec::new(),
            cors_origins: Vec::new(),
            otlp_endpoint: None,
            trace_one_in: 1,
            log: "info".into(),
            log_format: LogFormat::Text,
        }
    }
}

impl Settings {
    /// Reads and validates the settings.
    ///
    /// # Errors
    /// [`Error::InvalidSettings`], which names key, source and cure.
    pub fn read(flags: &Flags) -> Result<Self> {
        let settings = Self::extract(installation::defaults().as_deref(), flags, environment())?;
        settings.validate()?;
        Ok(settings)
    }

    /// Variables that look like settings and are not read, and why, to be warned of: Kubernetes sets such ones for a service
    /// that bears the program's name, so they are no reason not to start.
    #[must_use]
    pub fn unread_variables() -> Vec<(String, String)> {
        variables::unread(environment(), &known())
    }

    fn extract(
        installed: Option<&Path>,
        flags: &Flags,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(file) = installed {
            figment = figment.merge(Toml::file_exact(file));
        }
        if let Some(file) = &flags.config {
            figment = figment.merge(Toml::file_exact(checked_file(file)?));
        }
        figment
            .merge(Variables::read(environment, &known())?)
            .merge(Serialized::defaults(flags))
            .extract()
            .map_err(|e| Error::InvalidSettings(e.to_string()))
    }

    /// Bytes of a body at most.
    #[must_use]
    pub fn max_body_bytes(&self) -> usize {
        usize::try_from(self.max_body_mb << 20).unwrap_or(usize::MAX)
    }

    /// The deadline of a request that names none.
    #[must_use]
    pub fn request_timeout(&self) -> Option<Duration> {
        (self.request_timeout_ms > 0).then(|| Duration::from_millis(self.request_timeout_ms))
    }
}

/// Every setting with its default.
fn known() -> serde_json::Map<String, Value> {
    match serde_json::to_value(Settings::default()) {
        Ok(Value::Object(settings)) => settings,
        _ => serde_json::Map::new(),
    }
}

/// The variables of this process that are text.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)))
}

fn checked_file(file: &Path) -> Result<&Path> {
    if file.is_file() {
        return Ok(file);
    }
    let file = file.display();
    Err(Error::InvalidSettings(format!(
        "--config: there is no file {file}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_file(text: &str) -> (tempfile::TempDir, Flags) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = dir.path().join("lucarne.toml");
        std::fs::write(&file, text).expect("writable");
        let flags = Flags {
            config: Some(file),
            ..Flags::default()
        };
        (dir, flags)
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let (_dir, mut flags) = with_file("port = 1\nmax_images = 3\ncors_origins = [\"*\"]");
        flags.port = Some(2);
        let settings = Settings::read(&flags).expect("right settings");
        assert_eq!(
            (settings.port, settings.max_images, settings.max_body_mb),
            (2, 3, 32)
        );
        assert_eq!(settings.cors_origins, ["*"]);
    }

    #[test]
    fn a_file_wins_over_the_installation_and_the_installation_over_the_program() {
        let (
            _installed,
            Flags {
                config: installed, ..
            },
        ) = with_file("port = 1\nhost = \"0.0.0.0\"\nmax_images = 3");
        let (_dir, flags) = with_file("port = 2");
        let variables = [("LUCARNE_MAX_IMAGES".to_owned(), "4".to_owned())];
        let settings =
            Settings::extract(installed.as_deref(), &flags, variables.into_iter()).expect("right settings");
        assert_eq!((settings.port, settings.max_images), (2, 4));
        assert!(settings.host.is_unspecified());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, words) in [
            ("prot = 1", "prot"),
            ("port = \"x\"", "port"),
            ("max_images = 0", "max_images: found 0"),
            (
                "decode_threads = 1000000",
                "decode_threads: found 1000000, expected from 0 to 1024",
            ),
            (
                "load_timeout_s = 9000000000000",
                "load_timeout_s: found 9000000000000",
            ),
            (
                "max_body_mb = 65",
                "max_inflight_mb: found 128, expected from 130",
            ),
            ("cors_origins = [\"example.org\"]", "https://example.org"),
            ("otlp_endpoint = \"collector:4317\"", "http://collector:4318"),
            ("trace_one_in = 0", "trace_one_in: found 0, expected from 1"),
        ] {
            let (_dir, flags) = with_file(text);
            let error = Settings::read(&flags).expect_err(text).to_string();
            assert!(error.contains(words), "{error:?} does not name {words:?}");
        }
        let missing = Flags {
            config: Some("/no/such/file".into()),
            ..Flags::default()
        };
        assert!(Settings::read(&missing).is_err());
    }
}
