//! What a lone request costs beside decode, resize and forward alone: turn by turn, so that a machine that slows down slows
//! all of them.

use std::cell::RefCell;
use std::io::{Read, Result, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use lucarne::engine::device::threads_each;
use lucarne::engine::session::configure_thread;
use reqwest::{Client, RequestBuilder};
use serde_json::json;

use crate::Work;
use crate::median::median;

/// Milliseconds, medians of `seconds`:
/// - `alone_ms`: one image in this thread, which never sleeps;
/// - `woken_ms`: one image in another thread, which sleeps at a socket until the picture comes, and sends an answer of a
///   request's length. No server can be quicker than that: the system has to wake it, and its core's caches are cold;
/// - `request_ms`: a request to the server at `url`;
/// - `empty_request_ms`: one that it only answers.
///
/// Each comes after an image in this thread. The differences are of the same turn.
pub(crate) fn beside(work: &Work, url: &str, seconds: f64, cores: usize) -> serde_json::Value {
    let instances = &work.subject.manifest.instances;
    let threads = threads_each(instances.threads, instances.count, cores);
    let forward = || work.forward(threads, &[work.see(0)]);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = Server::new(work, url);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            configure_thread(threads);
            let mut line = Line::new(listener.accept().expect("a client").0);
            while let Ok(photo) = line.receive() {
                work.forward(threads, &[work.see_bytes(&photo)]);
                line.send(&[0; ANSWER]).expect("a client");
            }
        });
        configure_thread(threads);
        let line = RefCell::new(Line::to(address));
        let woken = || line.borrow_mut().ask(&work.photos[0]).expect("an answer");
        let (mut times, started) = (<[Vec<f64>; 4]>::default(), Instant::now());
        while started.elapsed() < Duration::from_secs_f64(seconds) {
            times[0].push(milliseconds(forward));
            times[1].push(milliseconds(woken));
            forward();
            times[2].push(milliseconds(|| server.predict(&work.photos[0])));
            forward();
            times[3].push(milliseconds(|| server.healthz()));
            forward();
        }
        let [alone, woken, request, empty] = times;
        let more = |than: &[f64]| {
            median(
                request
                    .iter()
                    .zip(than)
                    .map(|(asked, than)| asked - than)
                    .collect(),
            )
        };
        json!({
            "more_than_alone_ms": more(&alone),
            "more_than_woken_ms": more(&woken),
            "alone_ms": median(alone),
            "woken_ms": median(woken),
            "request_ms": median(request),
            "empty_request_ms": median(empty),
        })
    })
}

/// Bytes of an answer to a request for one picture.
const ANSWER: usize = 600;

fn milliseconds(work: impl FnOnce()) -> f64 {
    let started = Instant::now();
    work();
    started.elapsed().as_secs_f64() * 1e3
}

/// A client of the server that is measured.
struct Server {
    runtime: tokio::runtime::Runtime,
    client: Client,
    predict: String,
    healthz: String,
}

impl Server {
    fn new(work: &Work, url: &str) -> Self {
        let model = work.folder.file_name().expect("a folder").to_string_lossy();
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        Self {
            runtime: runtime.enable_all().build().expect("a runtime"),
            client: Client::builder().no_proxy().build().expect("a client"),
            predict: format!("{url}/v1/models/{model}/predict"),
            healthz: format!("{url}/healthz"),
        }
    }

    fn predict(&self, photo: &[u8]) {
        self.ask(self.client.post(&self.predict).body(photo.to_vec()));
    }

    fn healthz(&self) {
        self.ask(self.client.get(&self.healthz));
    }

    fn ask(&self, request: RequestBuilder) {
        let answer = self
            .runtime
            .block_on(async { request.send().await?.error_for_status()?.bytes().await });
        drop(answer.unwrap_or_else(|e| panic!("{e}")));
    }
}

/// Messages over a socket, each behind its length.
struct Line(TcpStream);

impl Line {
    fn new(socket: TcpStream) -> Self {
        socket.set_nodelay(true).expect("a socket");
        Self(socket)
    }

    fn to(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect(address).expect("a connection"))
    }

    fn send(&mut self, message: &[u8]) -> Result<()> {
        let length = u32::try_from(message.len()).expect("less than 4 GB");
        self.0.write_all(&[&length.to_le_bytes(), message].concat())
    }

    fn receive(&mut self) -> Result<Vec<u8>> {
        let mut length = [0; 4];
        self.0.read_exact(&mut length)?;
        let mut message = vec![0; u32::from_le_bytes(length) as usize];
        self.0.read_exact(&mut message)?;
        Ok(message)
    }

    fn ask(&mut self, message: &[u8]) -> Result<()> {
        self.send(message)?;
        self.receive().map(drop)
    }
}
