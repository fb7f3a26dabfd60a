//! What libraries write to the process's own streams.

use std::process::Stdio;
use std::time::Duration;

use crate::server::{Server, photo};

/// A TIFF whose bits a sample are a text of 2 GiB. The decoder says so on standard error, and refuses it.
fn talkative_tiff() -> Vec<u8> {
    let mut file = b"II*\0\x08\0\0\0".to_vec();
    let entries: [(u16, u16, u32, u32); 3] = [(256, 3, 1, 4), (257, 3, 1, 4), (258, 2, 0x7fff_ffff, 8)];
    file.extend_from_slice(&(entries.len() as u16).to_le_bytes());
    for (tag, kind, count, value) in entries {
        file.extend_from_slice(&tag.to_le_bytes());
        file.extend_from_slice(&kind.to_le_bytes());
        file.extend_from_slice(&count.to_le_bytes());
        file.extend_from_slice(&value.to_le_bytes());
    }
    file.extend_from_slice(&[0; 4]);
    file
}

#[tokio::test]
async fn a_library_that_talks_to_nobody_holds_nothing_up() {
    // More than a pipe holds, which nobody reads here.
    const TIMES: usize = 2000;
    let server = Server::start_saying(|text| text, &[], Stdio::piped()).await;
    let ask = |body| {
        server
            .client
            .post(server.predict_url())
            .body(body)
            .timeout(Duration::from_secs(20))
            .send()
    };
    for _ in 0..TIMES {
        let refused = ask(talkative_tiff()).await.expect("an answer");
        assert!(refused.status().is_client_error(), "{}", refused.status());
    }
    assert!(ask(photo()).await.expect("an answer").status().is_success());
}
