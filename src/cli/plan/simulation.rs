//! One replica under made-up arrivals: the engine's own [`Batcher`] with a made-up clock, and cores that everything on them
//! shares evenly.
//!
//! A request goes the way that it goes in the server: its protocol is read, a place is reserved (or it is refused), its picture
//! is decoded on a pool of as many threads as there are cores, it waits in the batcher, a free instance takes a batch, and its
//! answer is written. Whenever more threads compute than there are cores, all of them become slower alike, as the system's
//! scheduler shares cores among threads that always want one (processor sharing).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::arrivals::{Arrivals, Kind};
use super::measurements::Measurements;
use super::samples::Draw;
use crate::engine::batcher::{Batcher, Policy};

/// A replica, and how requests come to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scene<'a> {
    /// What its work takes.
    pub(super) measured: &'a Measurements,
    /// How its items become batches.
    pub(super) policy: Policy,
    /// How requests come.
    pub(super) kind: Kind,
    /// Requests a second, on average.
    pub(super) rate: f64,
    /// How many requests are made up, at least 1.
    pub(super) requests: usize,
    /// The same makes the same.
    pub(super) seed: u64,
}

/// What came of it, but for the first requests, which find an empty server.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Outcome {
    /// Of those that were answered, in milliseconds, the shortest first.
    latencies_ms: Vec<f64>,
    /// Requests that found no place.
    rejected: usize,
    /// How much of the cores' time something was computed, 0 to 1.
    pub(super) utilisation: f64,
    /// Items of a batch, on average.
    pub(super) mean_batch: f64,
}

/// Of the requests, those at the start that do not count.
const WARM_UP: usize = 20;

const NS_PER_MS: f64 = 1e6;

/// Work of less than this is done: what is left of a job when the clock, which has whole nanoseconds, says that it ends.
const DONE_NS: f64 = 1e-3;

/// A request that is somewhere in the replica.
#[derive(Debug, Clone, Copy)]
struct Request {
    /// Nanoseconds from the start.
    arrived: u64,
    counts: bool,
    draw: Draw,
}

/// Work for one thread, in nanoseconds of a core that it has for itself.
#[derive(Debug)]
struct Job<T> {
    left: f64,
    what: T,
}

/// Threads of one kind, and what waits for them, first come, first served.
struct Lane<T> {
    threads: usize,
    running: Vec<Job<T>>,
    waiting: VecDeque<Job<T>>,
}

impl<T> Lane<T> {
    fn new(threads: usize) -> Self {
        Self {
            threads,
            running: Vec::new(),
            waiting: VecDeque::new(),
        }
    }

    fn push(&mut self, ms: f64, what: T) {
        let left = ms * NS_PER_MS;
        self.waiting.push_back(Job { left, what });
        self.refill();
    }

    fn refill(&mut self) {
        while self.running.len() < self.threads
            && let Some(job) = self.waiting.pop_front()
        {
            self.running.push(job);
        }
    }

    /// Takes out what is done.
    fn done(&mut self) -> Vec<T> {
        let done = self.running.extract_if(.., |job| job.left <= DONE_NS);
        let done: Vec<T> = done.map(|job| job.what).collect();
        self.refill();
        done
    }
}

/// What a thread of the protocol does.
#[derive(Debug, Clone, Copy)]
enum Protocol {
    Read(Request),
    Write(Request),
}

/// A batch that is computed.
#[derive(Debug)]
struct Batch {
    requests: Vec<Request>,
    /// How many times as long it takes where every instance computes.
    beside: f64,
}

struct World<'a> {
    scene: Scene<'a>,
    base: Instant,
    now: u64,
    random: StdRng,
    batcher: Batcher<Request>,
    protocol: Lane<Protocol>,
    decoding: Lane<Request>,
    passes: Vec<Job<Batch>>,
    /// When the batcher wants to be asked again.
    wake_at: Option<u64>,
    latencies_ms: Vec<f64>,
    rejected: usize,
    gone: usize,
    busy_ns: f64,
    batches: usize,
    batched: usize,
}

/// Has all of the scene's requests come and go.
pub(super) fn simulate(scene: Scene<'_>) -> Outcome {
    // One source for what comes and another for how long it takes: the same requests come to every replica.
    let arrivals = StdRng::seed_from_u64(scene.seed);
    let mut arrivals = Arrivals::new(scene.kind, scene.rate, arrivals);
    let mut next = || (arrivals.next_s() * 1e9) as u64;
    let mut world = World::new(scene);
    let (mut coming, mut come) = (next(), 0);
    while world.gone < scene.requests {
        let arrival = (come < scene.requests).then_some(coming);
        let Some(then) = [arrival, world.next_done(), world.wake_at]
            .into_iter()
            .flatten()
            .min()
        else {
            break;
        };
        world.advance(then);
        if arrival == Some(then) {
            world.arrive(come >= scene.requests / WARM_UP);
            (coming, come) = (next(), come + 1);
        }
        world.settle();
    }
    world.outcome()
}

impl<'a> World<'a> {
    fn new(scene: Scene<'a>) -> Self {
        let cores = scene.measured.cores;
        Self {
            scene,
            base: Instant::now(),
            now: 0,
            random: StdRng::seed_from_u64(scene.seed.wrapping_add(1)),
            batcher: Batcher::new(scene.policy),
            protocol: Lane::new(cores),
            decoding: Lane::new(cores),
            passes: Vec::new(),
            wake_at: None,
            latencies_ms: Vec::with_capacity(scene.requests),
            rejected: 0,
            gone: 0,
            busy_ns: 0.0,
            batches: 0,
            batched: 0,
        }
    }

    /// The batcher's clock.
    fn instant(&self) -> Instant {
        self.base + Duration::from_nanos(self.now)
    }

    /// Threads that want a core now.
    fn busy(&self) -> usize {
        let single = self.protocol.running.len() + self.decoding.running.len();
        single + self.passes.len() * self.scene.measured.threads
    }

    /// How much of a core each thread has now.
    fn share(&self) -> f64 {
        (self.scene.measured.cores as f64 / self.busy().max(1) as f64).min(1.0)
    }

    /// How fast a batch is computed now, which would take `beside` times as long where every instance computes.
    fn speed(&self, batch: &Batch) -> f64 {
        let (others, all) = (self.passes.len() - 1, self.scene.measured.side_by_side() - 1);
        let crowd = others as f64 / all.max(1) as f64;
        self.share() / (1.0 + crowd * (batch.beside - 1.0))
    }

    /// When the next piece of work is done, if nothing else happens.
    fn next_done(&self) -> Option<u64> {
        let share = self.share();
        let single = self.protocol.running.iter().map(|job| job.left);
        let single = single.chain(self.decoding.running.iter().map(|job| job.left));
        let all = single
            .map(|left| left / share)
            .chain(self.passes.iter().map(|pass| pass.left / self.speed(&pass.what)));
        let first = all.min_by(f64::total_cmp)?;
        Some(self.now + (first.ceil() as u64).max(1))
    }

    /// Lets what runs run until `then`.
    fn advance(&mut self, then: u64) {
        let passed = then.saturating_sub(self.now) as f64;
        let share = self.share();
        let speeds: Vec<f64> = self.passes.iter().map(|pass| self.speed(&pass.what)).collect();
        self.busy_ns += passed * (self.busy().min(self.scene.measured.cores)) as f64;
        let single = self.protocol.running.iter_mut().map(|job| &mut job.left);
        let single = single.chain(self.decoding.running.iter_mut().map(|job| &mut job.left));
        single.for_each(|left| *left -= passed * share);
        for (pass, speed) in self.passes.iter_mut().zip(speeds) {
            pass.left -= passed * speed;
        }
        self.now = self.now.max(then);
    }

    fn arrive(&mut self, counts: bool) {
        let request = Request {
            arrived: self.now,
            counts,
            draw: Draw::of(&mut self.random),
        };
        self.protocol
            .push(self.protocol_ms(request), Protocol::Read(request));
    }

    /// Half of what a protocol takes is before the model, and half behind it.
    fn protocol_ms(&self, request: Request) -> f64 {
        self.scene.measured.request_ms.at(request.draw) / 2.0
    }

    /// Hands on what is done until nothing more is.
    fn settle(&mut self) {
        loop {
            let (spoken, decoded) = (self.protocol.done(), self.decoding.done());
            let computed: Vec<Batch> = self
                .passes
                .extract_if(.., |pass| pass.left <= DONE_NS)
                .map(|pass| pass.what)
                .collect();
            let is_still = spoken.is_empty() && decoded.is_empty() && computed.is_empty();
            for spoken in spoken {
                match spoken {
                    Protocol::Read(request) => self.admit(request),
                    Protocol::Write(request) => self.answer(request),
                }
            }
            for request in decoded {
                self.batcher.push(request, self.instant(), None);
            }
            for request in computed.into_iter().flat_map(|batch| batch.requests) {
                self.protocol
                    .push(self.protocol_ms(request), Protocol::Write(request));
            }
            self.start_batches();
            if is_still {
                return;
            }
        }
    }

    fn admit(&mut self, request: Request) {
        if self.batcher.reserve(1) {
            let draw = Draw::of(&mut self.random);
            self.decoding
                .push(self.scene.measured.decode_ms.at(draw), request);
        } else {
            self.rejected += usize::from(request.counts);
            self.gone += 1;
        }
    }

    fn answer(&mut self, request: Request) {
        self.gone += 1;
        if request.counts {
            self.latencies_ms
                .push((self.now - request.arrived) as f64 / NS_PER_MS);
        }
    }

    /// Has every free instance ask for a batch.
    fn start_batches(&mut self) {
        self.wake_at = None;
        while self.passes.len() < self.scene.measured.side_by_side() {
            let taken = self.batcher.take(self.instant(), |_| false);
            if taken.batch.is_empty() {
                let due = taken.wake_at.map(|at| at.saturating_duration_since(self.base));
                self.wake_at = due.map(|due| u64::try_from(due.as_nanos()).unwrap_or(u64::MAX));
                return;
            }
            let requests: Vec<Request> = taken.batch.iter().map(|waiting| waiting.item).collect();
            let draw = Draw::of(&mut self.random);
            let cost = self.scene.measured.pass(requests.len(), draw);
            self.batches += 1;
            self.batched += requests.len();
            self.passes.push(Job {
                left: cost.alone_ms * NS_PER_MS,
                what: Batch {
                    requests,
                    beside: cost.beside,
                },
            });
        }
    }

    fn outcome(mut self) -> Outcome {
        self.latencies_ms.sort_by(f64::total_cmp);
        let core_ns = self.now as f64 * self.scene.measured.cores as f64;
        Outcome {
            latencies_ms: self.latencies_ms,
            rejected: self.rejected,
            utilisation: self.busy_ns / core_ns.max(1.0),
            mean_batch: self.batched as f64 / self.batches.max(1) as f64,
        }
    }
}

impl Outcome {
    /// The latency that a share `p` of the requests had at most, in milliseconds. One that was refused has none, so that there
    /// may be no such latency.
    pub(super) fn percentile_ms(&self, p: f64) -> Option<f64> {
        let place = (self.count() as f64 * p) as usize;
        self.latencies_ms.get(place).copied()
    }

    /// How many of the requests were refused, 0 to 1.
    pub(super) fn rejected(&self) -> f64 {
        self.rejected as f64 / self.count().max(1) as f64
    }

    fn count(&self) -> usize {
        self.latencies_ms.len() + self.rejected
    }
}

#[cfg(test)]
mod tests;
