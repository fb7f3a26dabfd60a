//! The settings as flags of the command line.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// How models come and go while the server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum ModelControl {
    /// Not at all.
    None,
    /// As their folders do, which are looked at now and then.
    Poll,
    /// As clients say, who may load and unload.
    Explicit,
}

/// [`Settings`](super::Settings) as flags; what is not given is left to the environment, the file, the defaults.
#[derive(Debug, Clone, Default, Args, Serialize)]
pub struct Flags {
    /// A TOML file with any of these settings (`max_body_mb = 64`). Also LUCARNE_CONFIG.
    #[arg(long, env = "LUCARNE_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// The folder of models [default: models]
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub models: Option<PathBuf>,
    /// How models come and go while the server runs [default: none]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_control: Option<ModelControl>,
    /// How often the folder of models is looked at where model_control is poll, in seconds [default: 15]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub poll_interval_s: Option<u64>,
    /// Whether a model is tried in a process of its own before it serves [default: true]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub try_models: Option<bool>,
    /// How long a model may take to be tried, in seconds [default: 300]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_timeout_s: Option<u64>,
    /// Memory that a model may take while it is tried, in MiB; 0 for three quarters of the machine's [default: 0]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_model_mb: Option<u64>,
    /// Where it is remembered which models have passed [default: lucarne in the user's cache]
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_dir: Option<PathBuf>,
    /// The address to listen on [default: 127.0.0.1]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<IpAddr>,
    /// The port to listen on; 0 lets the system choose [default: 8080]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Where to write the port once it is known
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port_file: Option<PathBuf>,
    /// Bytes of a body at most, in MiB [default: 32]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_body_mb: Option<u64>,
    /// Bytes of all bodies at one time, in MiB; one client may take half of them [default: 128]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_inflight_mb: Option<u64>,
    /// Bytes that all large pictures take together while they are decoded, in MiB [default: 192]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_decode_mb: Option<u64>,
    /// Bytes of all answers, and of the pictures that are kept to be drawn on, in MiB [default: 144]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_answers_mb: Option<u64>,
    /// Pixels of an image at most, in millions [default: 64]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_image_mpx: Option<u64>,
    /// Images in one request at most [default: 32]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_images: Option<usize>,
    /// Saliency maps in one request at most, of all images, targets and layers [default: 64]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_maps: Option<usize>,
    /// Passes through a model for one explanation request at most [default: 100000]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_passes: Option<usize>,
    /// Connections at one time at most [default: 1024]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<usize>,
    /// How long the head of a request may take to arrive, in seconds [default: 10]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header_timeout_s: Option<u64>,
    /// How long a connection may be without a request, in seconds [default: 75]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout_s: Option<u64>,
    /// How long a client may send nothing of a body, or take nothing of an answer, in seconds [default: 10]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stall_timeout_s: Option<u64>,
    /// What a client must send or take in a second, on average and beyond that time, in KiB [default: 64]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_rate_kb: Option<u64>,
    /// How long a body may take to arrive, in seconds [default: 30]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_timeout_s: Option<u64>,
    /// How long a request may take when it does not say so itself, 0 for as long as any may [default: 60000]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_timeout_ms: Option<u64>,
    /// How long any request may take [default: 600000]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_request_timeout_ms: Option<u64>,
    /// A server with a pass that takes longer than this, in seconds, is not ready [default: 60]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_pass_s: Option<u64>,
    /// How long requests under way may take after SIGTERM, in seconds [default: 30]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain_timeout_s: Option<u64>,
    /// Threads that decode images, 0 for one a core [default: 0]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decode_threads: Option<usize>,
    /// The server's certificate in PEM, with those between it and its authority's: the server then speaks TLS
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_certificate: Option<PathBuf>,
    /// The key of the certificate, in PEM
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<PathBuf>,
    /// Certificates of authorities, in PEM, whose clients alone are let in
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_client_authorities: Option<PathBuf>,
    /// An address of its own for operators, in the clear: health, metrics, loading and unloading are then answered there alone
    #[arg(long, value_name = "HOST:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operations: Option<SocketAddr>,
    /// A Unix socket beside the address, for processes of this machine, in the clear; the file is made, and goes with the server
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unix_socket: Option<PathBuf>,
    /// A TOML file of keys, their scopes and limits; without one, everybody may do everything
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys_file: Option<PathBuf>,
    /// The public keys of an identity provider (JWKS), a file or an address with https://, whose tokens are taken as keys
    #[arg(long, value_name = "SOURCE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks: Option<String>,
    /// `iss` of the tokens of jwks
    #[arg(long, value_name = "ISSUER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt_issuer: Option<String>,
    /// `aud` of the tokens of jwks that are for this server
    #[arg(long, value_name = "AUDIENCE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt_audience: Option<String>,
    /// A name by which clients may call a server that listens on a loopback address, besides addresses and names without a
    /// dot; may be given more than once, or several with commas between
    #[arg(
        long = "allowed-host",
        alias = "allowed-hosts",
        value_name = "NAME",
        value_delimiter = ','
    )]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_hosts: Vec<String>,
    /// An origin that browsers may call from, `*` for any; may be given more than once, or several with commas between
    #[arg(
        long = "cors-origin",
        alias = "cors-origins",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cors_origins: Vec<String>,
    /// Where traces are told, by OTLP over HTTP, such as http://collector:4318 [default: OTEL_EXPORTER_OTLP_ENDPOINT, else nowhere]
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp_endpoint: Option<String>,
    /// One in so many requests is traced; a client that says whether its request is traced is followed [default: 1]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_one_in: Option<u64>,
    /// What is logged: `info`, `debug`, `lucarne=debug,tower_http=info` … [default: info]
    #[arg(long, value_name = "FILTER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// How log lines look [default: text]
    #[arg(long, value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_format: Option<LogFormat>,
}
