//! Many clients at once: shared batches, full queues, deadlines, and clients that leave.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::server::{Server, photo};

#[expect(clippy::needless_pass_by_value, reason = "an edit is handed the whole text")]
fn one_by_one(text: String) -> String {
    text.replace("max_batch_size = 16", "max_batch_size = 1")
}

fn score(answer: &Value) -> f64 {
    answer["predictions"][0]["classes"][0]["score"]
        .as_f64()
        .expect("a score")
}

#[tokio::test]
async fn concurrent_clients_share_batches_and_get_the_lone_answer() {
    let server = Server::start(|text| text, &[]).await;
    let send = async |client: &reqwest::Client, url: String| -> Value {
        let response = client.post(url).body(photo()).send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK);
        response.json().await.expect("JSON")
    };
    let lone = send(&server.client, server.predict_url()).await;
    let mut crowd = JoinSet::new();
    for _ in 0..32 {
        let (client, url, lone) = (server.client.clone(), server.predict_url(), score(&lone));
        crowd.spawn(async move {
            for _ in 0..4 {
                let found = score(&send(&client, url.clone()).await);
                // The sum's order depends on the batch's size: 1e-4 is far above rounding, far below a mix-up.
                assert!((found - lone).abs() < 1e-4, "{found} against {lone}");
            }
        });
    }
    crowd.join_all().await;
    let batches = server.counted("batch_size_count").await;
    let images = server.counted("images_computed_total").await;
    assert_eq!(images, 129.0);
    assert!(images / batches > 2.0, "{images} images in {batches} batches");
}

#[tokio::test]
async fn a_burst_over_a_small_queue_is_answered_or_refused_at_once() {
    let server = Server::start(
        |text| one_by_one(text).replace("queue_capacity = 256", "queue_capacity = 4"),
        &[],
    )
    .await;
    let mut burst = JoinSet::new();
    for _ in 0..200 {
        let request = server.client.post(server.predict_url()).body(photo());
        burst.spawn(async move {
            let response = request.send().await.expect("no connection is dropped");
            let retry_after = response
                .headers()
                .get("retry-after")
                .and_then(|v| v.to_str().ok()?.parse::<u32>().ok());
            (response.status(), retry_after)
        });
    }
    let answers = burst.join_all().await;
    let served = answers
        .iter()
        .filter(|(status, _)| *status == StatusCode::OK)
        .count();
    let refused = answers
        .iter()
        .filter(|(status, retry)| *status == StatusCode::TOO_MANY_REQUESTS && *retry >= Some(1));
    let refused = refused.count();
    assert_eq!(served + refused, 200, "{answers:?}");
    assert!(served >= 4 && refused >= 1, "{served} served, {refused} refused");
    assert_eq!(server.counted("images_computed_total").await, served as f64);
}

#[tokio::test]
async fn what_expires_or_departs_in_the_queue_is_not_computed() {
    let server = Server::start(one_by_one, &[]).await;
    let mut crowd = JoinSet::new();
    for _ in 0..150 {
        crowd.spawn(server.client.post(server.predict_url()).body(photo()).send());
    }
    until_waiting(&server, 100.0).await;
    let hurried = server
        .client
        .post(server.predict_url())
        .header("x-request-timeout-ms", "1")
        .body(photo());
    assert_eq!(
        hurried.send().await.expect("an answer").status(),
        StatusCode::GATEWAY_TIMEOUT
    );
    let hung_up = server
        .client
        .post(server.predict_url())
        .body(photo())
        .timeout(Duration::from_millis(250))
        .send();
    assert!(
        hung_up.await.is_err_and(|e| e.is_timeout()),
        "the queue is longer than that"
    );
    let served = crowd.join_all().await;
    assert!(
        served
            .iter()
            .all(|r| r.as_ref().is_ok_and(|r| r.status() == StatusCode::OK))
    );
    assert_eq!(
        server.counted("images_computed_total").await,
        150.0,
        "neither was computed"
    );
    assert_eq!(
        server
            .metric("lucarne_failures_total{code=\"deadline_exceeded\"}")
            .await,
        1.0
    );
    assert_eq!(server.counted("images_cancelled_total").await, 1.0);
}

/// Waits until so many images wait in the queue.
async fn until_waiting(server: &Server, images: f64) {
    for _ in 0..1000 {
        if server.counted("queue_depth").await >= images {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("the queue never held {images} images");
}
