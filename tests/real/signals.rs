//! The end of a server: what it accepted is answered, what comes later is refused.

use std::io::{Read, Write};
use std::net::TcpStream;

use reqwest::StatusCode;
use tokio::task::JoinSet;

use crate::server::{Server, photo};

#[tokio::test]
async fn sigterm_answers_what_was_accepted_and_exits_with_success() {
    let mut server = Server::start(|text| text, &[]).await;
    let mut under_way = JoinSet::new();
    for _ in 0..100 {
        under_way.spawn(server.client.post(server.predict_url()).body(photo()).send());
    }
    // The first answer shows that the server is at work; those behind it were accepted, too, as the queue tells.
    let first = under_way
        .join_next()
        .await
        .expect("one of them")
        .expect("no panic")
        .expect("an answer");
    assert_eq!(first.status(), StatusCode::OK);
    while server.counted("images_computed_total").await + server.counted("queue_depth").await < 50.0 {
        tokio::task::yield_now().await;
    }
    server.terminate();
    let answers = under_way.join_all().await;
    let served = answers
        .iter()
        .filter(|r| r.as_ref().is_ok_and(|r| r.status() == StatusCode::OK))
        .count();
    let torn = answers
        .iter()
        .filter(|r| r.as_ref().is_err_and(|e| !e.is_connect()))
        .count();
    assert_eq!(torn, 0, "a connection that was accepted is answered: {answers:?}");
    assert!(served >= 50, "{served} of 99 were served");
    assert!(server.ended().await.success());
    let late = reqwest::Client::new()
        .get(format!("{}/healthz", server.url))
        .send()
        .await;
    assert!(late.is_err_and(|e| e.is_connect()), "nobody listens any more");
}

#[tokio::test]
async fn sigterm_while_idle_ends_at_once() {
    let mut server = Server::start(|text| text, &[]).await;
    server.terminate();
    assert!(server.ended().await.success());
}

#[tokio::test]
async fn a_terminal_that_is_closed_ends_a_server_as_sigterm_does() {
    let mut server = Server::start(|text| text, &[]).await;
    server.signal("-HUP");
    if is_hangup_ignored() {
        // Who runs the tests under nohup has it ignored for the server, too.
        server.terminate();
    }
    assert!(server.ended().await.success());
}

fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .expect("a mask");
    u64::from_str_radix(mask.trim(), 16).expect("hexadecimal") & 1 == 1
}

/// Asks on an open connection; the head of the answer, after all of its body.
fn ask(socket: &mut TcpStream) -> std::io::Result<String> {
    socket.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = socket.read(&mut buffer)?;
        answer.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&answer).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            if read == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            continue;
        };
        let head = head.to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.and_then(|length| length.parse().ok()).expect("a length");
        if body.len() >= length {
            return Ok(head);
        }
    }
}

#[tokio::test]
async fn a_kept_connection_is_answered_once_more_and_told_that_it_was_the_last() {
    let mut server = Server::start(|text| text, &[]).await;
    let mut socket = TcpStream::connect(server.url.trim_start_matches("http://")).expect("a connection");
    let before = ask(&mut socket).expect("an answer");
    assert!(!before.contains("connection: close"), "{before}");
    server.terminate();
    // As long as it takes to be told.
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    let after = ask(&mut socket).expect("its request was on its way");
    assert!(
        after.contains("200 ok") && after.contains("connection: close"),
        "{after}"
    );
    assert!(ask(&mut socket).is_err(), "it is closed");
    assert!(server.ended().await.success());
}
