//! Sends requests in a closed or an open loop over kept connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::Client;
use reqwest::header::HeaderMap;
use tokio::task::JoinSet;

use crate::Load;
use crate::lucarne::numbers;
use crate::schedule::Schedule;
use crate::summary::{Answer, Summary, Window};

/// Asks one URL, with one body after the other.
#[derive(Clone)]
pub(crate) struct Asker(Arc<Asked>);

struct Asked {
    client: Client,
    url: String,
    headers: HeaderMap,
    bodies: Vec<Body>,
    turn: AtomicUsize,
}

struct Body {
    bytes: Bytes,
    /// The numbers of the answer to this body alone, where answers are compared.
    lone: Option<Vec<f64>>,
}

impl Asker {
    /// Sends every body once, alone.
    pub(crate) async fn new(load: &Load) -> Self {
        // A proxy has no place between a load and its server.
        let client = Client::builder().no_proxy().build().expect("a client");
        let mut asked = Asked {
            client,
            url: load.url(),
            headers: load.headers(),
            bodies: Vec::new(),
            turn: AtomicUsize::new(0),
        };
        for path in &load.bodies {
            let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let bytes = Bytes::from(bytes);
            let (status, answer) = asked.send(&bytes).await.expect("the server answers");
            assert!((200..300).contains(&status), "{}: {status}", path.display());
            let lone = load.path.is_none().then(|| numbers(&answer));
            asked.bodies.push(Body { bytes, lone });
        }
        Self(Arc::new(asked))
    }

    /// The text at `url`.
    pub(crate) async fn get(&self, url: &str) -> String {
        let response = self.0.client.get(url).send().await.expect("an answer");
        response.text().await.expect("text")
    }

    /// Asks for the next body; `started`: when that was to happen.
    async fn ask(&self, started: Instant) -> Answer {
        let turn = self.0.turn.fetch_add(1, Ordering::Relaxed);
        let body = &self.0.bodies[turn % self.0.bodies.len()];
        let found = self.0.send(&body.bytes).await.ok();
        let finished = Instant::now();
        let difference = match (&found, &body.lone) {
            (Some((200..300, answer)), Some(lone)) => numbers(answer)
                .iter()
                .zip(lone)
                .map(|(f, l)| (f - l).abs())
                .fold(0.0, f64::max),
            _ => 0.0,
        };
        Answer {
            started,
            finished,
            status: found.map(|(status, _)| status),
            difference,
        }
    }
}

impl Asked {
    async fn send(&self, body: &Bytes) -> reqwest::Result<(u16, Bytes)> {
        let request = self.client.post(&self.url).headers(self.headers.clone());
        let response = request.body(body.clone()).send().await?;
        let status = response.status().as_u16();
        Ok((status, response.bytes().await?))
    }
}

/// The whole load, from warm-up to the last answer.
pub(crate) async fn run(asker: &Asker, load: &Load) -> Summary {
    let begin = Instant::now() + Duration::from_secs_f64(load.warmup);
    let window = Window {
        begin,
        end: begin + Duration::from_secs_f64(load.seconds),
    };
    let mut summary = match load.rate {
        Some(rate) => {
            let schedule = Schedule::new(rate, load.poisson);
            open_loop(asker, window, schedule, load.requests).await
        }
        None => closed_loop(asker, window, load.clients, load.requests).await,
    };
    summary.close();
    summary
}

async fn closed_loop(asker: &Asker, window: Window, clients: usize, requests: u64) -> Summary {
    let left = Arc::new(AtomicU64::new(requests));
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        let (asker, left) = (asker.clone(), Arc::clone(&left));
        tasks.spawn(async move {
            let claim = || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
            let mut answers = Vec::new();
            while Instant::now() < window.end && claim().is_ok() {
                answers.push(asker.ask(Instant::now()).await);
            }
            answers
        });
    }
    let mut summary = Summary::new(window);
    while let Some(answers) = tasks.join_next().await {
        for answer in answers.expect("a client ends") {
            summary.count(&answer);
        }
    }
    summary
}

async fn open_loop(asker: &Asker, window: Window, schedule: Schedule, requests: u64) -> Summary {
    let mut due = schedule.start(window.end, requests);
    let mut summary = Summary::new(window);
    let mut tasks = JoinSet::new();
    while let Some(at) = due.recv().await {
        let asker = asker.clone();
        tasks.spawn(async move { asker.ask(at).await });
        while let Some(answer) = tasks.try_join_next() {
            summary.count(&answer.expect("a request ends"));
        }
    }
    while let Some(answer) = tasks.join_next().await {
        summary.count(&answer.expect("a request ends"));
    }
    summary
}
