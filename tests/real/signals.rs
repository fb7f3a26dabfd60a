//! The end of a server: what it accepted is answered, what comes later is refused.

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
