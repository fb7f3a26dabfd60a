//! A server process on a port of its own, ended with the test.

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use reqwest::Client;

use crate::support::{model_variant, series_value};

/// A running `lucarne serve`.
pub struct Server {
    child: Child,
    pub url: String,
    pub client: Client,
    models: tempfile::TempDir,
}

impl Server {
    /// Serves MobileNetV2 under the name `m`, its model.toml changed by `edit`; returns when it is ready.
    pub async fn start(edit: impl FnOnce(String) -> String, flags: &[&str]) -> Self {
        let models = tempfile::tempdir().expect("a temporary folder");
        model_variant(models.path(), "m", "mobilenet_v2", edit);
        Self::start_on(models, flags, Stdio::inherit()).await
    }

    /// Serves the models in this folder, of which one is called `m`, with this standard output, which is kept open.
    pub async fn start_on(models: tempfile::TempDir, flags: &[&str], stdout: Stdio) -> Self {
        let server = Self::listening(models, flags, stdout).await;
        server.until_ready().await;
        server
    }

    /// [`Server::start_on`] of a server that is not asked whether it is ready.
    pub async fn listening(models: tempfile::TempDir, flags: &[&str], stdout: Stdio) -> Self {
        let port_file = models.path().join("port");
        let child = Command::new(env!("CARGO_BIN_EXE_lucarne"))
            .args([
                "serve",
                "--host",
                "127.0.0.1",
                "--port",
                "0",
                "--log",
                "error",
                // A loaded machine may take its time; what a test says of deadlines it sets itself.
                "--request-timeout-ms",
                "600000",
                "--models",
            ])
            .arg(models.path())
            .arg("--port-file")
            .arg(&port_file)
            .args(flags)
            .stdin(Stdio::null())
            .stdout(stdout)
            .spawn()
            .expect("the program starts");
        let port = until_written(&port_file).await;
        Self {
            child,
            url: format!("http://127.0.0.1:{port}"),
            client: Client::builder().build().expect("a client"),
            models,
        }
    }

    async fn until_ready(&self) {
        let patience = Instant::now() + Duration::from_secs(60);
        let url = format!("{}/readyz", self.url);
        while !self
            .client
            .get(&url)
            .send()
            .await
            .is_ok_and(|r| r.status().is_success())
        {
            assert!(Instant::now() < patience, "the server did not become ready");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Its folder of models.
    pub fn models(&self) -> &Path {
        self.models.path()
    }

    pub fn predict_url(&self) -> String {
        format!("{}/v1/models/m/predict", self.url)
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Sends `signal`, an argument of kill.
    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .is_ok_and(|s| s.success())
        );
    }

    /// Waits for the end of the process.
    pub async fn ended(&mut self) -> ExitStatus {
        let patience = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = self.child.try_wait().expect("the child is ours") {
                return status;
            }
            assert!(Instant::now() < patience, "the server did not end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The value of one metric series.
    pub async fn metric(&self, series: &str) -> f64 {
        let response = self
            .client
            .get(format!("{}/metrics", self.url))
            .send()
            .await
            .expect("metrics");
        let text = response.text().await.expect("text");
        series_value(&text, series)
    }

    /// A counter of the predict queue.
    pub async fn counted(&self, name: &str) -> f64 {
        self.metric(&format!("lucarne_{name}{{model=\"m\",queue=\"predict\"}}"))
            .await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

async fn until_written(file: &Path) -> u16 {
    let patience = Instant::now() + Duration::from_secs(60);
    loop {
        if let Ok(text) = std::fs::read_to_string(file) {
            return text.trim().parse().expect("a port");
        }
        assert!(Instant::now() < patience, "the server did not listen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The photo that these tests send.
pub fn photo() -> Vec<u8> {
    crate::support::photo("coffee.jpg")
}
