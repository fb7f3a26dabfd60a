//! Clients that connect and say little, and a server that has to end while they do.

use std::io::{BufRead, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use reqwest::StatusCode;

use crate::server::Server;
use crate::support::model_variant;

fn connect(server: &Server, said: &str) -> TcpStream {
    let address = server.url.strip_prefix("http://").expect("a URL");
    let mut socket = TcpStream::connect(address).expect("the server listens");
    socket.write_all(said.as_bytes()).expect("the server reads");
    socket
}

/// Whether the server closes the connection within so long.
fn is_closed(socket: &mut TcpStream, within: Duration) -> bool {
    socket.set_read_timeout(Some(within)).expect("a socket");
    matches!(socket.read(&mut [0]), Ok(0))
}

#[tokio::test]
async fn connections_that_say_nothing_give_way() {
    let server = Server::start(|text| text, &["--max-connections", "16"]).await;
    let mut idle: Vec<TcpStream> = (0..40).map(|_| connect(&server, "")).collect();
    for _ in 0..5 {
        let fresh = reqwest::Client::new();
        let answer = fresh.get(format!("{}/healthz", server.url)).send().await;
        assert_eq!(answer.expect("it has room").status(), StatusCode::OK);
    }
    assert!(
        is_closed(&mut idle[0], Duration::from_secs(5)),
        "the oldest went first"
    );
}

#[tokio::test]
async fn a_head_and_an_idle_connection_have_clocks() {
    let flags = ["--header-timeout-s", "1", "--idle-timeout-s", "2"];
    let server = Server::start(|text| text, &flags).await;
    let patience = Duration::from_secs(10);
    let mut head = connect(&server, "GET /healthz HTTP/1.1\r\nx-a: ");
    let mut idle = connect(&server, "");
    assert!(is_closed(&mut head, patience), "half a head");
    assert!(is_closed(&mut idle, patience), "no byte");
}

#[tokio::test]
async fn an_unfinished_request_holds_the_end_no_longer_than_the_drain_time() {
    let mut server = Server::start(|text| text, &["--drain-timeout-s", "1"]).await;
    let _body = connect(
        &server,
        "POST /v1/models/m/predict HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nx",
    );
    let _head = connect(&server, "GET /heal");
    tokio::time::sleep(Duration::from_millis(200)).await;
    let started = Instant::now();
    server.terminate();
    assert!(server.ended().await.success());
    // The drain time, half a second for the workers, and what a loaded machine takes.
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn variables_of_a_service_are_no_settings() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_lucarne"))
        .args(["serve", "--models", "/no/such/folder"])
        .env("LUCARNE_PORT", "tcp://10.0.0.1:80")
        .env("LUCARNE_SERVICE_HOST", "10.0.0.1")
        .output()
        .expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("/no/such/folder cannot be read"),
        "the settings are right: {said}"
    );
}

#[test]
fn a_variable_that_is_not_read_is_warned_of_with_the_reason() {
    let models = tempfile::tempdir().expect("a temporary folder");
    model_variant(models.path(), "m", "selfie", |text| text);
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_lucarne"))
        .args(["serve", "--port", "0", "--models"])
        .arg(models.path())
        .env("LUCARNE_MAX_IMAGES", "tcp://10.0.0.1:80")
        .env("LUCARNE_SERVICE_HOST", "10.0.0.1")
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the program starts");
    let lines = std::io::BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let said: Vec<String> = lines
        .map(|line| line.expect("text"))
        .take_while(|line| !line.contains("listening"))
        .collect();
    child.kill().expect("it runs");
    child.wait().expect("it ended");
    let of = |name: &str| said.iter().find(|line| line.contains(name)).expect(name);
    assert!(of("LUCARNE_MAX_IMAGES").contains("Kubernetes"), "{said:?}");
    assert!(
        of("LUCARNE_SERVICE_HOST").contains("no setting has this name"),
        "{said:?}"
    );
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let mut server = Server::start(|text| text, &["--drain-timeout-s", "600"]).await;
    let _body = connect(
        &server,
        "POST /v1/models/m/predict HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nx",
    );
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.terminate();
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.terminate();
    assert_eq!(server.ended().await.code(), Some(1));
}
