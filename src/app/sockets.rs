//! Where a server listens, and the file that says on which port.

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use axum::Router;
use tokio::net::TcpListener;

use crate::config::Settings;
use crate::error::{Error, Result};
use crate::transport::{self, Connections, Listener, UnixSocket};

/// Where the server listens.
pub(super) struct Sockets {
    public: TcpListener,
    operations: Option<TcpListener>,
    unix: Option<UnixSocket>,
}

impl Sockets {
    /// Listens where the settings say, and writes and logs where that is.
    pub(super) fn listen(settings: &Settings) -> Result<Self> {
        let listen = |address: SocketAddr, cure| {
            transport::listen(address).map_err(|e| {
                Error::InvalidSettings(format!("cannot listen on {address}: {e}; give another {cure}"))
            })
        };
        let address = SocketAddr::new(settings.host, settings.port);
        let public = listen(address, "--host or --port")?;
        let operations = settings.operations.map(|address| listen(address, "--operations"));
        let in_file = |path: &PathBuf| {
            transport::listen_in_file(path).map_err(|e| {
                Error::InvalidSettings(format!(
                    "cannot listen on {}: {e}; give another --unix-socket",
                    path.display()
                ))
            })
        };
        let sockets = Self {
            public,
            operations: operations.transpose()?,
            unix: settings.unix_socket.as_ref().map(in_file).transpose()?,
        };
        let address = sockets.public.local_addr().unwrap_or(address);
        if let Some(file) = &settings.port_file {
            write_port(file, address.port())?;
        }
        tracing::info!(%address, "listening");
        if let Some(Ok(address)) = sockets.operations.as_ref().map(TcpListener::local_addr) {
            tracing::info!(%address, "listening for operators");
        }
        if let Some(path) = &settings.unix_socket {
            tracing::info!(path = %path.display(), "listening on a Unix socket");
        }
        Ok(sockets)
    }

    /// Serves `router` to clients that connect, until the future is dropped.
    pub(super) async fn accept(&self, connections: &Connections, router: &Router) {
        let public = connections.accept((&self.public, Listener::Public), router.clone());
        let operations = async {
            if let Some(socket) = &self.operations {
                connections
                    .accept((socket, Listener::Operations), router.clone())
                    .await;
            }
        };
        let unix = async {
            if let Some(socket) = &self.unix {
                connections
                    .accept((socket, Listener::Public), router.clone())
                    .await;
            }
        };
        tokio::join!(public, operations, unix);
    }
}

/// Written beside and renamed, so that a reader that waits for the file never reads half of it. What is no file, such as a
/// pipe or /dev/stdout, is written to; a link stays one.
fn write_port(file: &Path, port: u16) -> Result<()> {
    let text = format!("{port}\n");
    let target = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let written = match std::fs::metadata(&target) {
        // Without waiting: a pipe that nobody reads would hold up the start for ever.
        Ok(found) if !found.is_file() => std::fs::File::options()
            .write(true)
            .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
            .open(&target)
            .and_then(|mut pipe| pipe.write_all(text.as_bytes())),
        _ => {
            let half = target.with_extension("part");
            std::fs::write(&half, text)
                .and_then(|()| std::fs::rename(&half, &target))
                .inspect_err(|_| drop(std::fs::remove_file(&half)))
        }
    };
    written.map_err(|e| Error::InvalidSettings(format!("--port-file {}: {e}", file.display())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_port_is_written_through_a_link_and_never_over_what_is_no_file() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (file, link) = (dir.path().join("port"), dir.path().join("link"));
        std::fs::write(&file, "old").expect("writable");
        symlink("port", &link).expect("writable");
        write_port(&link, 80).expect("written");
        assert_eq!(std::fs::read_to_string(&file).expect("it is there"), "80\n");
        assert!(link.is_symlink());
        write_port(Path::new("/dev/null"), 80).expect("written");
        assert!(!std::fs::metadata("/dev/null").expect("it is there").is_file());
        assert!(write_port(dir.path(), 80).is_err());
        let left = std::fs::read_dir(dir.path()).expect("it can be read").count();
        assert_eq!(left, 2, "nothing beside the file and the link");
    }
}
