//! A server process on a port of its own, ended with the test, and a folder that looks like the repository.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_lucarne");

/// Keeps libtorch's threads from spinning while they wait for each other: where other programs use the same cores, each
/// would spin for as long as those compute.
pub(crate) const WITHOUT_SPINNING: [(&str, &str); 1] = [("OMP_WAIT_POLICY", "passive")];

/// Folders of the repository that commands name.
const FOLDERS: [&str; 4] = ["docs", "models", "openapi", "tests"];

/// A running `lucarne serve`.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
    _folder: tempfile::TempDir,
}

impl Server {
    /// Serves `models`; returns when it is ready.
    pub(crate) fn start(models: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port_file = folder.path().join("port");
        let child = Command::new(PROGRAM)
            .args(["serve", "--host", "127.0.0.1", "--port", "0", "--log", "error"])
            // A loaded machine may take its time.
            .args(["--request-timeout-ms", "600000"])
            .arg("--models")
            .arg(models)
            .arg("--port-file")
            .arg(&port_file)
            .envs(WITHOUT_SPINNING)
            .stdin(Stdio::null())
            .spawn()
            .expect("the program starts");
        let mut server = Self {
            child,
            url: String::new(),
            _folder: folder,
        };
        server.until("listen", || port_file.is_file());
        let port = std::fs::read_to_string(&port_file).expect("a port");
        server.url = format!("http://127.0.0.1:{}", port.trim());
        let ready = format!("{}/readyz", server.url);
        server.until("become ready", || is_ready(&ready));
        server
    }

    fn until(&mut self, what: &str, is_so: impl Fn() -> bool) {
        let patience = Instant::now() + Duration::from_secs(120);
        while !is_so() {
            let ended = self.child.try_wait().expect("the child is ours");
            assert_eq!(ended, None, "the server ended before it did {what}");
            assert!(Instant::now() < patience, "the server did not {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn is_ready(url: &str) -> bool {
    let asked = Command::new(PROGRAM)
        .args(["healthcheck", "--url", url])
        .stderr(Stdio::null())
        .status();
    asked.is_ok_and(|status| status.success())
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Links the folders of `repository` into `folder`, so that the paths in commands lead there.
pub(crate) fn link_folders(repository: &Path, folder: &Path) {
    for name in FOLDERS {
        symlink(repository.join(name), folder.join(name)).expect("a link can be made");
    }
}
