//! HTTP/2, frame by frame: what clients of it may do that those of HTTP/1.1 cannot.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use reqwest::StatusCode;

use crate::server::Server;

const PATIENCE: Duration = Duration::from_secs(10);

/// Kinds of frames.
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const GO_AWAY: u8 = 7;

/// A setting: how much of an answer may come before the client asks for more.
const INITIAL_WINDOW_SIZE: [u8; 6] = [0, 4, 0, 0, 0, 0];

/// Of a request that has no body, and of one whose body is still to come.
const END_OF_ALL: u8 = 5;
const END_OF_HEAD: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), content].concat()
}

/// A head in literals: each name by its place in the table of RFC 7541, appendix A, or by itself.
fn head(method: u8, path: &str, kind: &str) -> Vec<u8> {
    let literal = |value: &str| [&[value.len() as u8], value.as_bytes()].concat();
    // The scheme is http, and the host x.
    [
        &[method, 0x86, 0x41][..],
        &literal("x"),
        &[0x44],
        &literal(path),
        &[0x5f],
        &literal(kind),
    ]
    .concat()
}

const GET: u8 = 0x82;
const POST: u8 = 0x83;

/// A client that has said its preface and these settings.
fn connect(server: &Server, settings: &[u8]) -> TcpStream {
    let address = server.url.strip_prefix("http://").expect("a URL");
    let mut socket = TcpStream::connect(address).expect("the server listens");
    let first = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &frame(SETTINGS, 0, 0, settings)[..],
    ]
    .concat();
    socket.write_all(&first).expect("the server reads");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    socket
}

/// The kinds of the frames that come until the server closes the connection, if it does, and their first contents.
fn until_closed(socket: &mut TcpStream) -> Option<Vec<(u8, Vec<u8>)>> {
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).ok()?;
    let (mut rest, mut frames) = (&bytes[..], Vec::new());
    while rest.len() >= 9 {
        let length = u32::from_be_bytes([0, rest[0], rest[1], rest[2]]) as usize;
        frames.push((rest[3], rest[9..9 + length].to_vec()));
        rest = &rest[9 + length..];
    }
    Some(frames)
}

#[tokio::test]
async fn an_idle_connection_is_told_goodbye_and_a_head_without_end_is_idleness() {
    let flags = ["--header-timeout-s", "1", "--idle-timeout-s", "3"];
    let server = Server::start(|text| text, &flags).await;
    let started = Instant::now();
    let mut idle = connect(&server, &[]);
    let mut half = connect(&server, &[]);
    half.write_all(&frame(HEADERS, 0, 1, &head(GET, "/healthz", "a/b")))
        .expect("it reads");
    let frames = until_closed(&mut idle).expect("it is closed");
    assert!(
        started.elapsed() > Duration::from_secs(2),
        "the clock of a head is none of HTTP/2's"
    );
    assert!(frames.iter().any(|(kind, _)| *kind == GO_AWAY), "{frames:?}");
    assert!(until_closed(&mut half).is_some());
}

#[tokio::test]
async fn an_answer_that_is_not_taken_ends_its_connection() {
    let server = Server::start(|text| text, &["--stall-timeout-s", "1"]).await;
    let mut socket = connect(&server, &INITIAL_WINDOW_SIZE);
    socket
        .write_all(&frame(HEADERS, END_OF_ALL, 1, &head(GET, "/openapi.json", "a/b")))
        .expect("it reads");
    let frames = until_closed(&mut socket).expect("it is closed");
    assert!(
        frames.iter().any(|(kind, _)| *kind == HEADERS),
        "it was answered: {frames:?}"
    );
}

#[tokio::test]
async fn streams_that_wait_for_their_client_give_way() {
    let server = Server::start(|text| text, &["--max-connections", "16"]).await;
    let mut streams = connect(&server, &[]);
    let method = "/inference.GRPCInferenceService/ModelStreamInfer";
    for stream in 0..16 {
        let head = head(POST, method, "application/grpc");
        streams
            .write_all(&frame(HEADERS, END_OF_HEAD, 2 * stream + 1, &head))
            .expect("it reads");
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    // Requests over HTTP/1.1 are as many as connections.
    let plain = reqwest::get(format!("{}/healthz", server.url)).await;
    assert_eq!(plain.expect("it has room").status(), StatusCode::OK);
    let client = reqwest::Client::builder()
        .http2_prior_knowledge()
        .build()
        .expect("a client");
    let mut statuses = Vec::new();
    for _ in 0..20 {
        let answer = client.get(format!("{}/healthz", server.url)).send().await;
        statuses.push(answer.expect("an answer").status());
        if statuses.last() == Some(&StatusCode::OK) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(statuses.last(), Some(&StatusCode::OK), "{statuses:?}");
    assert_eq!(statuses[0], StatusCode::SERVICE_UNAVAILABLE, "{statuses:?}");
    assert!(until_closed(&mut streams).is_some());
}

#[tokio::test]
async fn a_signal_ends_streams_that_wait() {
    let mut server = Server::start(|text| text, &["--drain-timeout-s", "30"]).await;
    let mut stream = connect(&server, &[]);
    let head = head(
        POST,
        "/inference.GRPCInferenceService/ModelStreamInfer",
        "application/grpc",
    );
    stream
        .write_all(&frame(HEADERS, END_OF_HEAD, 1, &head))
        .expect("it reads");
    tokio::time::sleep(Duration::from_millis(300)).await;
    let started = Instant::now();
    server.terminate();
    assert!(server.ended().await.success());
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
    let frames = until_closed(&mut stream).expect("it is closed");
    let heads = frames.iter().filter(|(kind, _)| *kind == HEADERS).count();
    // Its head, and trailers that say it is over: it is not cut off.
    assert_eq!(heads, 2, "{frames:?}");
}

#[tokio::test]
async fn requests_of_one_connection_are_answered_side_by_side() {
    let server = Server::start(|text| text, &[]).await;
    let client = reqwest::Client::builder()
        .http2_prior_knowledge()
        .build()
        .expect("a client");
    let picture = crate::support::photo("coffee.jpg");
    let answers = (0..32).map(|_| client.post(server.predict_url()).body(picture.clone()).send());
    for answer in futures_util::future::join_all(answers).await {
        let answer = answer.expect("an answer");
        assert_eq!(
            (answer.status(), answer.version()),
            (StatusCode::OK, reqwest::Version::HTTP_2)
        );
    }
}
