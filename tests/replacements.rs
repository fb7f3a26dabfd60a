//! One model replaced again and again under load: alone in its process, whose memory is looked at.
#![expect(unreachable_pub, reason = "a test program has no outside")]

#[path = "service/small.rs"]
mod small;
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use small::{labels, of_version, over, picture, write};

/// Resident memory of this process in bytes, with what the allocator keeps given back.
fn resident() -> usize {
    lucarne::runtime::process::release_unused_memory();
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: usize = text
        .split(' ')
        .nth(1)
        .and_then(|n| n.parse().ok())
        .expect("a number");
    pages * 4096
}

const CLIENTS: usize = 16;
const REPLACEMENTS: usize = 50;
/// Replacements before memory is looked at first.
const WARM: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_replacements_under_sixteen_clients_lose_no_request_and_keep_memory_flat() {
    let models = tempfile::tempdir().expect("a temporary folder");
    write(models.path(), "small", &["1", "2"]);
    let server = Arc::new(tokio::task::block_in_place(|| over(models.path())));
    let (ended, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let client = || {
        let (server, ended, answered) = (Arc::clone(&server), Arc::clone(&ended), Arc::clone(&answered));
        let picture = picture();
        tokio::spawn(async move {
            while !ended.load(Ordering::Relaxed) {
                let model = server.service().model("small").expect("it always serves");
                let found = labels(&server, &model, &picture).await;
                assert_eq!(
                    found.as_ref(),
                    Ok(&of_version(&model.version)),
                    "one version whole"
                );
                answered.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    let clients: Vec<_> = (0..CLIENTS).map(|_| client()).collect();
    let catalog = server.service().catalog();
    let mut before = 0;
    for round in 0..REPLACEMENTS {
        if round == WARM {
            before = resident();
        }
        let version = ["1", "2"][round % 2];
        let model = catalog
            .replace("small", Some(version))
            .await
            .expect("it can be loaded");
        assert_eq!(model.version, version);
        let seen = answered.load(Ordering::Relaxed);
        while answered.load(Ordering::Relaxed) < seen + CLIENTS {
            tokio::task::yield_now().await;
        }
    }
    ended.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("no request failed");
    }
    let grown = resident().saturating_sub(before);
    // Forty models of 9 kB with a thread each: what a leak of any of them would take shows.
    assert!(grown < 16 << 20, "{REPLACEMENTS} replacements left {grown} bytes");
}
