//! What a lone request costs beside decode, resize and forward alone: permit by permit, so that a machine that slows down slows
//! all of them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use bytes::Bytes;
use lucarne::runtime::device::threads_each;
use lucarne::runtime::process::configure_thread;
use reqwest::{Client, RequestBuilder};
use serde_json::json;

use crate::Work;
use crate::median::median;

/// Milliseconds, medians of `seconds`:
/// - `alone_ms`: one image in this thread, which never sleeps;
/// - `woken_ms`: one image in another thread, which sleeps at a socket until the picture comes, and sends an answer of a
///   request's length: what any process pays that waits, since the system has to wake it, with cold caches;
/// - `request_ms`: a request to the server at `url`;
/// - `own_ms`: of that, what the server's handler took beside decoding and forward, by its own clock: queue and hand-overs;
/// - `empty_request_ms`: one that it only answers.
///
/// Each comes some times in a row, as a client's requests do, and the first of a row is not counted: it finds the caches as the
/// others left them. The differences are of the same permit.
pub(crate) fn beside(work: &Work, url: &str, seconds: f64, cores: usize) -> serde_json::Value {
    let instances = &work.spec.manifest.instances;
    let threads = threads_each(instances.threads, instances.count, cores);
    let mut forward = || work.forward(threads, &[work.see(0)]);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = Server::new(work, url);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            configure_thread(threads);
            let (mut client, _) = listener.accept().expect("a client");
            client.set_nodelay(true).expect("a socket");
            let mut photo = vec![0; work.photos[0].len()];
            while client.read_exact(&mut photo).is_ok() {
                work.forward(threads, &[work.see_bytes(&photo)]);
                client.write_all(&[0; ANSWER]).expect("a client");
            }
        });
        configure_thread(threads);
        // Closed before the scope waits for the thread, which ends with it.
        let mut line = TcpStream::connect(address).expect("a connection");
        line.set_nodelay(true).expect("a socket");
        let mut woken = || {
            line.write_all(&work.photos[0]).expect("the thread");
            line.read_exact(&mut [0; ANSWER]).expect("an answer");
        };
        let mut answers = Vec::new();
        let mut request = || answers.push(server.predict(&work.photos[0]));
        let mut empty = || drop(server.healthz());
        let mut kinds: [&mut dyn FnMut(); 4] = [&mut forward, &mut woken, &mut request, &mut empty];
        let (mut times, started) = (<[Vec<f64>; 4]>::default(), Instant::now());
        while started.elapsed() < Duration::from_secs_f64(seconds) {
            for (kind, times) in kinds.iter_mut().zip(&mut times) {
                kind();
                times.extend((1..IN_A_ROW).map(|_| milliseconds(&mut *kind)));
            }
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
            "own_ms": median(answers.iter().map(|answer| own_part(answer)).collect()),
            "empty_request_ms": median(empty),
        })
    })
}

const IN_A_ROW: usize = 5;

/// Bytes of an answer to a request for one picture.
const ANSWER: usize = 600;

fn milliseconds(work: impl FnOnce()) -> f64 {
    let started = Instant::now();
    work();
    started.elapsed().as_secs_f64() * 1e3
}

/// Of an answer's `timing_ms`: all but decoding and computing.
fn own_part(answer: &[u8]) -> f64 {
    let answer: serde_json::Value = serde_json::from_slice(answer).expect("JSON");
    let part = |name: &str| answer["timing_ms"][name].as_f64().expect("a time");
    part("total") - part("decode") - part("compute")
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

    fn predict(&self, photo: &[u8]) -> Bytes {
        self.ask(self.client.post(&self.predict).body(photo.to_vec()))
    }

    fn healthz(&self) -> Bytes {
        self.ask(self.client.get(&self.healthz))
    }

    fn ask(&self, request: RequestBuilder) -> Bytes {
        let answer = self
            .runtime
            .block_on(async { request.send().await?.error_for_status()?.bytes().await });
        answer.unwrap_or_else(|e| panic!("{e}"))
    }
}
