//! TLS by rustls, with certificates that are read again when they change. Connections that are open keep theirs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::changed;
use crate::config::Settings;
use crate::error::{Error, Result};

/// What is spoken within, the preferred first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Where the certificates are.
#[derive(Debug)]
struct Files {
    /// The server's own, and those between it and the authority's.
    certificate: PathBuf,
    key: PathBuf,
    /// Of the authorities whose clients are let in; without it, everybody is.
    clients: Option<PathBuf>,
}

/// The TLS configuration for new connections, made again when its files change.
#[derive(Debug)]
pub struct Tls {
    files: Files,
    config: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// As the settings say, where they say so.
    ///
    /// # Errors
    /// [`Error::InvalidSettings`], which names the file that is wrong.
    pub fn read(settings: &Settings) -> Result<Option<Arc<Self>>> {
        let files = match (&settings.tls_certificate, &settings.tls_key) {
            (Some(certificate), Some(key)) => Files {
                certificate: certificate.clone(),
                key: key.clone(),
                clients: settings.tls_client_authorities.clone(),
            },
            (None, None) if settings.tls_client_authorities.is_none() => return Ok(None),
            _ => {
                return Err(Error::InvalidSettings(
                    "tls_certificate and tls_key go together, and tls_client_authorities with them".into(),
                ));
            }
        };
        let config = files.config()?;
        Ok(Some(Arc::new(Self {
            files,
            config: RwLock::new(Arc::new(config)),
        })))
    }

    /// Reads the files again when they change, as long as it is polled. What is wrong changes nothing.
    pub async fn follow(&self) {
        changed::follow(&self.files.all(), || match self.files.config() {
            Ok(config) => {
                tracing::info!(target: "audit", act = "certificates", "the certificates were read again");
                *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
            }
            Err(error) => tracing::error!(%error, "the certificates stay as they were"),
        })
        .await;
    }

    /// Shakes hands.
    ///
    /// # Errors
    /// What is wrong with the client, or with the connection.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let config = Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner));
        TlsAcceptor::from(config).accept(stream).await
    }
}

impl Files {
    fn all(&self) -> Vec<PathBuf> {
        let own = [self.certificate.clone(), self.key.clone()];
        own.into_iter().chain(self.clients.clone()).collect()
    }

    fn config(&self) -> Result<ServerConfig> {
        let wrong = |file: &Path, why: String| Error::InvalidSettings(format!("{}: {why}", file.display()));
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| Error::Internal(e.to_string()))?;
        let builder = match &self.clients {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(file)? {
                    roots.add(certificate).map_err(|e| wrong(file, e.to_string()))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().map_err(|e| wrong(file, e.to_string()))?)
            }
        };
        let no_key =
            |e: &dyn std::fmt::Display| wrong(&self.key, format!("tls_key: no private key in PEM: {e}"));
        let key = changed::read(&self.key).map_err(|e| no_key(&e))?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|e| no_key(&e))?;
        let mut config = builder
            .with_single_cert(certificates(&self.certificate)?, key)
            .map_err(|e| wrong(&self.certificate, format!("with {}: {e}", self.key.display())))?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        Ok(config)
    }
}

/// The certificates in a file of PEM, at least one.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let wrong = |why: String| Error::InvalidSettings(format!("{}: {why}", file.display()));
    let text = changed::read(file).map_err(|e| wrong(e.to_string()))?;
    let found = CertificateDer::pem_slice_iter(text.as_bytes());
    let found: Vec<_> = found
        .collect::<Result<_, _>>()
        .map_err(|e| wrong(e.to_string()))?;
    match found.is_empty() {
        true => Err(wrong("no certificate is in it, in PEM".into())),
        false => Ok(found),
    }
}
