//! The engine with a made-up runner: what it promises, without torch.

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::cores::Cores;
use super::*;

/// Counts what the engine reports.
#[derive(Default)]
struct Counts {
    batches: AtomicUsize,
    largest: AtomicUsize,
    items: AtomicUsize,
    expired: AtomicUsize,
    cancelled: AtomicUsize,
    rejected: AtomicUsize,
}

impl Observer for Counts {
    fn depth(&self, _: usize) {}
    fn queued(&self, _: Duration) {}
    fn batch(&self, size: usize, _: Duration) {
        self.batches.fetch_add(1, Ordering::SeqCst);
        self.items.fetch_add(size, Ordering::SeqCst);
        self.largest.fetch_max(size, Ordering::SeqCst);
    }
    fn rejected(&self, places: usize) {
        self.rejected.fetch_add(places, Ordering::SeqCst);
    }
    fn expired(&self) {
        self.expired.fetch_add(1, Ordering::SeqCst);
    }
    fn cancelled(&self) {
        self.cancelled.fetch_add(1, Ordering::SeqCst);
    }
}

fn share() -> Share {
    Share {
        cores: Cores::new(NonZeroUsize::MIN),
        count: 1,
    }
}

/// How many batches each worker computed.
type BatchesOf = Arc<Mutex<Vec<usize>>>;

/// Doubles numbers; 13 fails, 77 makes its whole batch no numbers, 666 panics, 99 is too much for the device, 404 kills it, and
/// every batch waits for the gate.
struct Doubler {
    index: usize,
    batches_of: BatchesOf,
    gate: Arc<tokio::sync::Mutex<()>>,
    dead: Rc<Cell<bool>>,
}

type Number = Ticket<u64, u64>;

impl Doubler {
    fn double(&mut self, inputs: &[u64]) -> Result<Vec<Result<u64>>> {
        let _open = self.gate.blocking_lock();
        self.batches_of.lock().expect("no panic under it")[self.index] += 1;
        if inputs.contains(&13) {
            return Err(Error::InferenceFailed("13".into()));
        }
        assert!(!inputs.contains(&666), "666");
        if inputs.contains(&99) {
            return Err(Error::OutOfMemory("99".into()));
        }
        if inputs.contains(&404) {
            self.dead.set(true);
        }
        if self.dead.get() {
            return Err(Error::InferenceFailed("an illegal memory access".into()));
        }
        let doubled = |i| match inputs.contains(&77) {
            true => Err(Error::NotFinite("77".into())),
            false => Ok(2 * i),
        };
        Ok(inputs.iter().map(doubled).collect())
    }
}

impl Runner<Number> for Doubler {
    fn run(&mut self, batch: Vec<Number>, station: &Station<'_>) -> Option<Error> {
        assert_eq!(station.permit.count(), 1, "a batch holds its cores");
        let dead = Rc::clone(&self.dead);
        compute(
            batch,
            station,
            || dead.get(),
            |asked| self.double(&asked.iter().map(|asked| *asked.input).collect::<Vec<_>>()),
        )
    }
}

struct Rig {
    engine: Arc<Engine<Number>>,
    counts: Arc<Counts>,
    gate: Arc<tokio::sync::Mutex<()>>,
    batches_of: BatchesOf,
}

fn rig(capacity: usize, max_batch: usize) -> Rig {
    rig_of(1, capacity, max_batch)
}

fn rig_of(workers: usize, capacity: usize, max_batch: usize) -> Rig {
    let (counts, gate) = (Arc::new(Counts::default()), Arc::new(tokio::sync::Mutex::new(())));
    let setup = Setup {
        name: "doubler".into(),
        policy: Policy {
            max_batch,
            max_delay: Duration::ZERO,
            capacity,
        },
        workers,
        share: share(),
        observer: Arc::clone(&counts) as Arc<dyn Observer>,
    };
    let batches_of = BatchesOf::new(Mutex::new(vec![0; workers]));
    let (its_gate, its_batches) = (Arc::clone(&gate), Arc::clone(&batches_of));
    let engine = Engine::start(&setup, move |index| {
        Ok(Doubler {
            index,
            batches_of: Arc::clone(&its_batches),
            gate: Arc::clone(&its_gate),
            dead: Rc::default(),
        })
    });
    Rig {
        engine: Arc::new(engine.expect("the doubler starts")),
        counts,
        gate,
        batches_of,
    }
}

async fn ask(engine: &Engine<Number>, n: u64, deadline: Option<Instant>) -> Result<u64> {
    let places = engine.admit(1)?;
    let mut answers = engine.submit(places, vec![n], &Context::until(deadline)).await?;
    Ok(answers.pop().expect("one answer").output)
}

/// Lets the other tasks and threads go on until `done`.
async fn until(mut done: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(Instant::now() < patience, "waited in vain");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn inputs_of_one_request_come_back_in_order() {
    let rig = rig(64, 4);
    let places = rig.engine.admit(10).expect("ten places");
    let answers = rig
        .engine
        .submit(places, (0..10).collect(), &Context::default())
        .await
        .expect("ten answers");
    assert_eq!(
        answers.iter().map(|a| a.output).collect::<Vec<_>>(),
        (0..10).map(|i| 2 * i).collect::<Vec<_>>()
    );
    assert!(rig.counts.largest.load(Ordering::SeqCst) <= 4);
}

#[tokio::test]
async fn a_bad_item_and_a_panic_fail_alone_and_the_worker_lives_on() {
    for bad in [13, 77, 666] {
        let rig = rig(64, 8);
        let tasks: Vec<_> = {
            let closed = rig.gate.lock().await;
            let mut tasks = Vec::new();
            for n in [1, 2, bad, 4] {
                let engine = Arc::clone(&rig.engine);
                tasks.push(tokio::spawn(async move { ask(&engine, n, None).await }));
                tokio::task::yield_now().await;
            }
            drop(closed);
            tasks
        };
        let mut answers = Vec::new();
        for task in tasks {
            answers.push(task.await.expect("no panic reaches the caller"));
        }
        assert_eq!((&answers[0], &answers[1], &answers[3]), (&Ok(2), &Ok(4), &Ok(8)));
        assert!(
            matches!(answers[2], Err(Error::InferenceFailed(_) | Error::NotFinite(_))),
            "{:?}",
            answers[2]
        );
        assert_eq!(ask(&rig.engine, 21, None).await, Ok(42));
    }
}

#[tokio::test]
async fn a_lost_device_answers_all_who_wait_and_lets_nobody_in() {
    let rig = rig(64, 2);
    let closed = rig.gate.lock().await;
    let mut asked = Vec::new();
    for n in [404, 1, 2, 3, 4] {
        let engine = Arc::clone(&rig.engine);
        asked.push(tokio::spawn(async move { ask(&engine, n, None).await }));
        tokio::task::yield_now().await;
    }
    let held = rig.engine.admit(1).expect("a place that was reserved before");
    drop(closed);
    for one in asked {
        let answer = one.await.expect("no panic reaches the caller");
        assert!(matches!(answer, Err(Error::DeviceLost(_))), "{answer:?}");
    }
    assert!(matches!(rig.engine.admit(1), Err(Error::DeviceLost(_))));
    let late = rig.engine.submit(held, vec![5], &Context::default()).await;
    assert!(
        matches!(&late, Err(failed) if failed.index == 0 && matches!(failed.error, Error::DeviceLost(_))),
        "{late:?}"
    );
    assert!(matches!(rig.engine.health(), Some(Error::DeviceLost(_))));
    assert!(
        rig.counts.items.load(Ordering::SeqCst) <= 2,
        "nothing is tried again on a lost device"
    );
}

#[tokio::test]
async fn of_two_devices_the_other_goes_on() {
    let rig = rig_of(2, 64, 1);
    assert!(matches!(
        ask(&rig.engine, 404, None).await,
        Err(Error::DeviceLost(_))
    ));
    for n in 20..40 {
        assert_eq!(ask(&rig.engine, n, None).await, Ok(2 * n));
    }
    // The worker answers first.
    until(|| matches!(rig.engine.health(), Some(Error::DeviceLost(_)))).await;
}

#[tokio::test]
async fn requests_one_after_the_other_stay_with_one_worker() {
    let rig = rig_of(3, 64, 1);
    let batches = || rig.batches_of.lock().expect("no panic under it").clone();
    for n in 20..40 {
        // Who has just answered may not be asleep yet.
        until(|| rig.engine.queue.sleeping() == 3).await;
        assert_eq!(ask(&rig.engine, n, None).await, Ok(2 * n));
    }
    assert_eq!(batches().into_iter().max(), Some(20), "{:?}", batches());
}

#[tokio::test]
async fn a_busy_worker_is_not_waited_for() {
    let rig = rig_of(3, 64, 2);
    let closed = Arc::clone(&rig.gate).lock_owned().await;
    let requests: Vec<_> = (20..26)
        .map(|n| {
            let engine = Arc::clone(&rig.engine);
            tokio::spawn(async move { ask(&engine, n, None).await })
        })
        .collect();
    until(|| rig.engine.queue.sleeping() == 0).await;
    drop(closed);
    for (request, n) in requests.into_iter().zip(20..) {
        assert_eq!(request.await.expect("it ends"), Ok(2 * n));
    }
}

#[tokio::test]
async fn a_full_device_is_unhealthy_until_a_batch_gets_through() {
    let rig = rig(64, 4);
    assert_eq!(rig.engine.health(), None);
    assert!(matches!(
        ask(&rig.engine, 99, None).await,
        Err(Error::OutOfMemory(_))
    ));
    assert!(matches!(rig.engine.health(), Some(Error::OutOfMemory(_))));
    assert_eq!(ask(&rig.engine, 1, None).await, Ok(2));
    assert_eq!(rig.engine.health(), None);
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let rig = rig(2, 1);
    let permits = (
        rig.engine.admit(1).expect("first"),
        rig.engine.admit(1).expect("second"),
    );
    let refused = rig.engine.admit(1).expect_err("full");
    assert!(matches!(refused, Error::QueueFull { retry_after, .. } if retry_after >= Duration::from_secs(1)));
    assert_eq!(rig.counts.rejected.load(Ordering::SeqCst), 1);
    drop(permits);
    assert_eq!(ask(&rig.engine, 1, None).await, Ok(2));
}

#[tokio::test]
async fn expired_and_departed_work_is_not_computed() {
    let rig = rig(8, 1);
    let (first, expired, departed) = {
        let closed = rig.gate.lock().await;
        let engine = Arc::clone(&rig.engine);
        let first = tokio::spawn(async move { ask(&engine, 1, None).await });
        until(|| rig.engine.queue.is_idle()).await;
        let engine = Arc::clone(&rig.engine);
        let expired = tokio::spawn(async move { ask(&engine, 2, Some(Instant::now())).await });
        let engine = Arc::clone(&rig.engine);
        let departed = tokio::spawn(async move { ask(&engine, 3, None).await });
        tokio::task::yield_now().await;
        departed.abort();
        tokio::task::yield_now().await;
        drop(closed);
        (first, expired, departed)
    };
    assert_eq!(first.await.expect("first ends"), Ok(2));
    assert!(matches!(
        expired.await.expect("expired ends"),
        Err(Error::DeadlineExceeded(_))
    ));
    assert!(departed.await.is_err_and(|e| e.is_cancelled()));
    assert_eq!(ask(&rig.engine, 5, None).await, Ok(10));
    assert_eq!(rig.counts.expired.load(Ordering::SeqCst), 1);
    assert_eq!(rig.counts.cancelled.load(Ordering::SeqCst), 1);
    assert_eq!(
        rig.counts.items.load(Ordering::SeqCst),
        2,
        "only 1 and 5 were computed"
    );
}

#[tokio::test]
async fn closing_answers_what_was_admitted_and_refuses_the_rest() {
    let rig = rig(64, 4);
    let places = rig.engine.admit(20).expect("twenty places");
    rig.engine.close();
    assert!(matches!(rig.engine.admit(1), Err(Error::NotReady(_))));
    let answers = rig
        .engine
        .submit(places, (100..120).collect(), &Context::default())
        .await
        .expect("all answered");
    assert_eq!(answers.len(), 20);
}

#[tokio::test]
async fn every_worker_ends_after_the_last_place_that_was_held() {
    let rig = rig_of(3, 64, 1);
    let places = rig.engine.admit(1).expect("there is room");
    rig.engine.close();
    until(|| rig.engine.queue.sleeping() == 3).await;
    let answer = rig.engine.submit(places, vec![20], &Context::default()).await;
    assert_eq!(answer.expect("it was admitted")[0].output, 40);
    until(|| rig.engine.handles().iter().all(JoinHandle::is_finished)).await;
}

#[test]
fn a_runner_that_cannot_be_made_is_an_error() {
    let setup = Setup {
        name: "never".into(),
        policy: Policy {
            max_batch: 1,
            max_delay: Duration::ZERO,
            capacity: 1,
        },
        workers: 2,
        share: share(),
        observer: Arc::new(observer::Silent),
    };
    let engine = Engine::<Number>::start(&setup, |_| -> Result<Doubler> {
        Err(Error::InferenceFailed("no".into()))
    });
    assert_eq!(
        engine.expect_err("it cannot start"),
        Error::InferenceFailed("no".into())
    );
}
