//! A Unix socket beside the address.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::server::Server;
use crate::support::photo;

/// What is answered on the socket to a request with this head.
fn asked(path: &Path, head: &str, body: &[u8]) -> String {
    let mut stream = UnixStream::connect(path).expect("somebody listens");
    let length = body.len();
    let head = format!(
        "{head} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("the server reads");
    stream.write_all(body).expect("the server reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the server answers");
    answer
}

#[tokio::test]
async fn a_unix_socket_answers_what_the_address_answers_and_goes_with_the_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let flag = path.to_str().expect("a name in UTF-8");
    let mut server = Server::start(|text| text, &["--unix-socket", flag]).await;
    let picture = photo("coffee.jpg");
    let answer = asked(&path, "POST /v1/models/m/predict?top_k=1", &picture);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("espresso"), "{answer}");

    let taken = std::process::Command::new(env!("CARGO_BIN_EXE_lucarne"))
        .args(["serve", "--port", "0", "--unix-socket", flag, "--models"])
        .arg(server.models())
        .output()
        .expect("the program starts");
    assert_eq!(taken.status.code(), Some(1));
    let said = String::from_utf8_lossy(&taken.stderr);
    assert!(said.contains("somebody listens there already"), "{said}");
    assert!(asked(&path, "GET /healthz", b"").starts_with("HTTP/1.1 200"));

    server.terminate();
    assert!(server.ended().await.success());
    assert!(!path.exists(), "the file stays behind");
}
