//! What models write to the process's own streams.

use std::process::Stdio;
use std::time::Duration;

use lucarne::image::Picture;

use crate::server::Server;
use crate::support::{path, png};

/// A folder with the model `m`, whose `forward` prints a kilobyte.
fn printing() -> tempfile::TempDir {
    let models = tempfile::tempdir().expect("a temporary folder");
    let folder = models.path().join("m");
    std::fs::create_dir(&folder).expect("writable");
    let source = path("tests/golden/closed_forms/printing.pt");
    std::fs::copy(source, folder.join("model.pt")).expect("a copy");
    std::fs::write(folder.join("labels.txt"), "a\nb\nc\n").expect("writable");
    let manifest = "task = \"classification\"\n[input]\nsize = [6, 8]\n[output]\nlabels = \"labels.txt\"\n";
    std::fs::write(folder.join("model.toml"), manifest).expect("writable");
    models
}

#[tokio::test]
async fn a_model_that_talks_to_nobody_holds_nothing_up() {
    // More than a pipe holds, which nobody reads here.
    const TIMES: usize = 200;
    let server = Server::start_on(printing(), &[], Stdio::piped()).await;
    let picture = png(&Picture::new(8, 6, vec![99; 8 * 6 * 3]).expect("a picture"));
    for time in 0..TIMES {
        let answer = server
            .client
            .post(server.predict_url())
            .body(picture.clone())
            .timeout(Duration::from_secs(20))
            .send();
        let answer = answer
            .await
            .unwrap_or_else(|error| panic!("request {time}: {error}"));
        assert!(
            answer.status().is_success(),
            "request {time}: {}",
            answer.status()
        );
    }
}
