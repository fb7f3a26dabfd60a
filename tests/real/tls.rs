//! TLS: who is served, by which version of HTTP, and what happens when a certificate is replaced.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::server::Server;
use crate::support::model_variant;

/// An authority, whose certificates it signs.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self {
            pem: certificate.pem(),
            der: certificate.der().clone(),
            issuer: Issuer::new(params, key),
        }
    }

    /// A certificate for localhost, and its key.
    fn sign(&self) -> (rcgen::Certificate, KeyPair) {
        let params = CertificateParams::new(vec!["localhost".into()]).expect("a name");
        let key = KeyPair::generate().expect("a key");
        (params.signed_by(&key, &self.issuer).expect("a certificate"), key)
    }

    /// Puts a fresh certificate where the server looks for it.
    fn put(&self, folder: &Path) -> CertificateDer<'static> {
        let (certificate, key) = self.sign();
        std::fs::write(folder.join("key.pem"), key.serialize_pem()).expect("writable");
        std::fs::write(folder.join("certificate.pem"), certificate.pem()).expect("writable");
        certificate.der().clone()
    }
}

/// A client that trusts `authority`, and shows a certificate of its own where it has one.
fn client(authority: &Authority, own: Option<&Authority>, protocol: &[u8]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der.clone()).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.expect("versions").with_root_certificates(roots);
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let (certificate, key) = own.sign();
            let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
            let chain = vec![certificate.der().clone()];
            builder.with_client_auth_cert(chain, key).expect("both fit")
        }
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    TlsConnector::from(Arc::new(config))
}

async fn connect(server: &Server, connector: &TlsConnector) -> std::io::Result<TlsStream<TcpStream>> {
    let address = server.url.strip_prefix("http://").expect("a URL");
    let socket = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").expect("a name");
    connector.connect(name, socket).await
}

/// The status line of `/healthz`.
async fn health(stream: &mut TlsStream<TcpStream>) -> std::io::Result<String> {
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await?;
    let mut answer = vec![0; 4096];
    let count = stream.read(&mut answer).await?;
    let text = String::from_utf8_lossy(&answer[..count]).into_owned();
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn seen(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().expect("it showed one")[0]
        .clone()
        .into_owned()
}

/// A server with a certificate of `authority`.
async fn serve(authority: &Authority, clients: Option<&Authority>) -> (Server, CertificateDer<'static>) {
    let models = tempfile::tempdir().expect("a temporary folder");
    model_variant(models.path(), "m", "selfie", |text| text);
    let shown = authority.put(models.path());
    let file = |name: &str| models.path().join(name).to_str().expect("a path").to_owned();
    let (certificate, key, authorities) = (file("certificate.pem"), file("key.pem"), file("clients.pem"));
    let mut flags = vec!["--tls-certificate", &certificate, "--tls-key", &key];
    if let Some(clients) = clients {
        std::fs::write(&authorities, &clients.pem).expect("writable");
        flags.extend(["--tls-client-authorities", &authorities]);
    }
    (Server::listening(models, &flags, Stdio::inherit()).await, shown)
}

#[tokio::test]
async fn a_certificate_is_replaced_and_no_connection_ends() {
    let authority = Authority::new();
    let (server, first) = serve(&authority, None).await;
    let connector = client(&authority, None, b"http/1.1");
    let mut old = connect(&server, &connector).await.expect("a handshake");
    assert_eq!(seen(&old), first);
    assert_eq!(health(&mut old).await.expect("an answer"), "HTTP/1.1 200 OK");
    std::fs::write(server.models().join("certificate.pem"), "none").expect("writable");
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(
        seen(&connect(&server, &connector).await.expect("a handshake")),
        first
    );
    let second = authority.put(server.models());
    let patience = Instant::now() + Duration::from_secs(30);
    while seen(&connect(&server, &connector).await.expect("a handshake")) != second {
        assert!(Instant::now() < patience, "the new certificate is shown");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(health(&mut old).await.expect("an answer"), "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn both_versions_of_http_are_spoken_within() {
    let authority = Authority::new();
    let (server, _) = serve(&authority, None).await;
    for protocol in [&b"h2"[..], b"http/1.1"] {
        let stream = connect(&server, &client(&authority, None, protocol))
            .await
            .expect("a handshake");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol));
    }
    // Who speaks in the clear is not answered.
    let plain = server.client.get(format!("{}/healthz", server.url)).send().await;
    assert!(plain.is_err());
    let stranger = Authority::new();
    assert!(
        connect(&server, &client(&stranger, None, b"http/1.1"))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn only_clients_of_the_authority_are_let_in() {
    let (authority, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let (server, _) = serve(&authority, Some(&clients)).await;
    let ask = async |own: Option<&Authority>| {
        let mut stream = connect(&server, &client(&authority, own, b"http/1.1")).await?;
        health(&mut stream).await
    };
    assert_eq!(ask(Some(&clients)).await.expect("an answer"), "HTTP/1.1 200 OK");
    for own in [None, Some(&strangers)] {
        assert!(
            !ask(own).await.is_ok_and(|line| line.contains("200")),
            "a stranger is answered"
        );
    }
}

#[tokio::test]
async fn a_client_that_does_not_shake_hands_is_left() {
    let authority = Authority::new();
    let models = tempfile::tempdir().expect("a temporary folder");
    model_variant(models.path(), "m", "selfie", |text| text);
    authority.put(models.path());
    let file = |name: &str| models.path().join(name).to_str().expect("a path").to_owned();
    let (certificate, key) = (file("certificate.pem"), file("key.pem"));
    let flags = [
        "--tls-certificate",
        &certificate,
        "--tls-key",
        &key,
        "--header-timeout-s",
        "1",
    ];
    let server = Server::listening(models, &flags, Stdio::inherit()).await;
    let address = server.url.strip_prefix("http://").expect("a URL");
    let mut silent = TcpStream::connect(address).await.expect("it listens");
    let read = tokio::time::timeout(Duration::from_secs(10), silent.read(&mut [0])).await;
    assert_eq!(read.expect("it is closed").expect("an end"), 0);
}
