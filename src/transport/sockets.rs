//! What a server listens on: addresses, and files of this machine.

use std::fs;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};

/// How many connections wait to be accepted. One for which there is no room is tried again by its client's kernel only after a
/// second. The kernel's own limit is `net.core.somaxconn`.
const BACKLOG: u32 = 4096;

/// A connection that came.
#[derive(Debug)]
pub enum Stream {
    /// From an address.
    Tcp(TcpStream),
    /// Of this machine.
    Unix(UnixStream),
}

impl Stream {
    /// Writes what the socket takes at once.
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            Self::Unix(stream) => stream.try_write(bytes),
        }
    }
}

/// What connections come in by.
pub trait Socket {
    /// The next one, and whose it is.
    fn next(&self) -> impl Future<Output = io::Result<(Stream, SocketAddr)>> + Send;
}

impl Socket for TcpListener {
    async fn next(&self) -> io::Result<(Stream, SocketAddr)> {
        /// What may wait in the kernel for a client that does not read: by itself it takes megabytes, which nobody counts. A client
        /// that reads is not slower for it, since what is on its way does not count.
        const UNSENT: u32 = 128 << 10;
        let (stream, peer) = self.accept().await?;
        drop(stream.set_nodelay(true));
        drop(SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT));
        Ok((Stream::Tcp(stream), peer))
    }
}

/// A socket in the file system. The file goes when it is dropped.
#[derive(Debug)]
pub struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl Socket for UnixSocket {
    async fn next(&self) -> io::Result<(Stream, SocketAddr)> {
        let (stream, _) = self.listener.accept().await?;
        // Its clients are of this machine.
        Ok((Stream::Unix(stream), (Ipv4Addr::LOCALHOST, 0).into()))
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.path));
    }
}

/// Listens on this address.
///
/// # Errors
/// Those of the system: the address is in use, is not of this machine, or needs more rights.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A restart need not wait for the last one's connections to time out.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Listens on a file that is made for it. One that a server left behind which was killed is replaced.
///
/// # Errors
/// Those of the system: somebody listens there already, another file stands there, the folder is not there or needs more rights.
pub fn listen_in_file(path: &Path) -> io::Result<UnixSocket> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::new(
                ErrorKind::AlreadyExists,
                "another file stands there",
            ));
        }
        Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path)?,
            _ => {
                return Err(io::Error::new(
                    ErrorKind::AddrInUse,
                    "somebody listens there already",
                ));
            }
        },
        Err(_) => {}
    }
    Ok(UnixSocket {
        listener: UnixListener::bind(path)?,
        path: path.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_burst_of_connections_waits_for_a_busy_server() {
        const BURST: usize = 300;
        let most = fs::read_to_string("/proc/sys/net/core/somaxconn");
        let most = most.ok().and_then(|most| most.trim().parse::<usize>().ok());
        assert!(
            most.is_some_and(|most| most >= BURST),
            "net.core.somaxconn is {most:?}; this test needs {BURST}"
        );
        let listener = listen(([127, 0, 0, 1], 0).into()).expect("an address");
        let address = listener.local_addr().expect("bound");
        let opened = (0..BURST)
            .map(|_| std::net::TcpStream::connect_timeout(&address, Duration::from_secs(5)))
            .collect::<io::Result<Vec<_>>>();
        assert_eq!(opened.expect("nobody accepts yet").len(), BURST);
    }

    #[tokio::test]
    async fn a_file_is_listened_on_by_one_server_and_goes_with_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        let kind = |path: &Path| listen_in_file(path).map(drop).expect_err("not there").kind();
        let socket = listen_in_file(&path).expect("a new file");
        assert_eq!(kind(&path), ErrorKind::AddrInUse);
        drop(socket);
        assert!(!path.exists());
        // As a process leaves it that is killed.
        drop(std::os::unix::net::UnixListener::bind(&path).expect("a new file"));
        assert!(path.exists());
        drop(listen_in_file(&path).expect("nobody listens there"));
        fs::write(&path, "notes").expect("written");
        assert_eq!(kind(&path), ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).expect("still there"), "notes");
        assert_eq!(kind(&folder.path().join("none/socket")), ErrorKind::NotFound);
    }
}
