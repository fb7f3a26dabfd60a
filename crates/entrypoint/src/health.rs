//! Whether a server is ready, asked over HTTP.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use procfs::net::TcpState;
use procfs::process::{FDTarget, Process, all_processes};

const PATIENCE: Duration = Duration::from_secs(3);

/// Bytes of an answer that are read at most.
const MOST_BYTES: u64 = 64 << 10;

/// Why a server counts as not ready.
#[derive(Debug, thiserror::Error)]
pub enum Unready {
    /// No answer came.
    #[error("http://{address}{path} does not answer: {cause}")]
    Silent {
        /// The server that was asked.
        address: String,
        /// What for.
        path: String,
        /// What the system says.
        cause: io::Error,
    },
    /// Another answer than 200 came.
    #[error("http://{address}{path} answered {status}")]
    Answered {
        /// The server that was asked.
        address: String,
        /// What for.
        path: String,
        /// The status line, and the body.
        status: String,
    },
}

/// Asks `address`, such as `127.0.0.1:8080`, for `path`.
///
/// # Errors
/// [`Unready`] unless the answer is 200.
pub fn ask(address: &str, path: &str) -> Result<(), Unready> {
    let silent = |cause| Unready::Silent {
        address: address.into(),
        path: path.into(),
        cause,
    };
    let (status, rest) = exchange(address, path).map_err(silent)?;
    if status.split(' ').nth(1) == Some("200") {
        return Ok(());
    }
    let body = rest.split_once("\r\n\r\n").map_or("", |(_, body)| body.trim());
    Err(Unready::Answered {
        address: address.into(),
        path: path.into(),
        status: format!("{} {body}", status.trim()).trim_end().into(),
    })
}

/// The first line of the answer, and the others.
fn exchange(address: &str, path: &str) -> io::Result<(String, String)> {
    let mut addresses = address.to_socket_addrs()?;
    let first = addresses.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let mut stream = TcpStream::connect_timeout(&first, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = BufReader::new(stream.take(MOST_BYTES));
    let (mut status, mut rest) = (String::new(), String::new());
    answer.read_line(&mut status)?;
    // Without the rest the status stands alone.
    drop(answer.read_to_string(&mut rest));
    Ok((status, rest))
}

/// Where processes of `program` listen, in this container or on this machine: those of this user, as this process can reach
/// them.
#[must_use]
pub fn listening(program: &Path) -> Vec<SocketAddr> {
    let all = all_processes().into_iter().flatten().flatten();
    let servers = all.filter(|process| process.exe().is_ok_and(|exe| exe == program));
    let mut found: Vec<SocketAddr> = servers.flat_map(|server| sockets(&server)).collect();
    found.sort();
    found.dedup();
    found
}

/// A process that ends meanwhile has none.
fn sockets(server: &Process) -> Vec<SocketAddr> {
    let inode = |target: FDTarget| match target {
        FDTarget::Socket(inode) => Some(inode),
        _ => None,
    };
    let own = server.fd().into_iter().flatten().flatten();
    let own: Vec<u64> = own.filter_map(|descriptor| inode(descriptor.target)).collect();
    let all = server.tcp().into_iter().flatten();
    let all = all.chain(server.tcp6().into_iter().flatten());
    let listening = all.filter(|entry| entry.state == TcpState::Listen && own.contains(&entry.inode));
    listening.map(|entry| reachable(entry.local_address)).collect()
}

/// An address for all interfaces is reached at that of the machine itself.
#[must_use]
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(any) if any.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(any) if any.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn where_this_process_listens_is_found() {
        let listener = TcpListener::bind("0.0.0.0:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let program = std::env::current_exe().expect("this program");
        let expected: SocketAddr = ([127, 0, 0, 1], port).into();
        assert!(listening(&program).contains(&expected));
        assert!(listening(Path::new("/no/such/program")).is_empty());
    }

    #[test]
    fn an_answer_other_than_200_is_told_with_its_reason() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let server = std::thread::spawn(move || {
            for answer in [
                "503 Service Unavailable\r\ncontent-length: 18\r\n\r\nno model is served",
                "200 OK\r\n\r\n",
            ] {
                let (stream, _) = listener.accept().expect("a client");
                let mut head = BufReader::new(stream);
                let mut line = String::new();
                while head.read_line(&mut line).is_ok_and(|length| length > 2) {}
                write!(head.get_mut(), "HTTP/1.1 {answer}").expect("written");
            }
        });
        let refused = ask(&address, "/readyz").expect_err("503").to_string();
        assert!(
            refused.ends_with("/readyz answered HTTP/1.1 503 Service Unavailable no model is served"),
            "{refused}"
        );
        assert!(ask(&address, "/readyz").is_ok());
        server.join().expect("no panic");
    }
}
