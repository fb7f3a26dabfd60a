//! What the engine promises in whatever order its threads run: scenarios for shuttle, which tries orders, and notices
//! where no thread can go on. Each works to its end, or panics.

use std::num::NonZeroUsize;
use std::time::Duration;

use shuttle::thread::{self, JoinHandle};

use super::batcher::Policy;
use super::cores::{Class, Cores};
use super::observer::Silent;
use super::queue::Queue;
use super::sync::atomic::{AtomicUsize, Ordering};
use super::sync::{Arc, Condvar, Mutex};
use super::ticket::Answer;
use super::worker::Worker;
use super::{Context, Runner, Share, Station, Ticket, compute};
use crate::error::{Error, Result};

type Number = Ticket<u64, u64>;

/// A number that kills the device that it is computed on.
const FATAL: u64 = 404;

/// Numbers that were answered, and a bell for the threads that wait for them.
#[derive(Default)]
struct Tally {
    answered: Mutex<usize>,
    more: Condvar,
}

impl Tally {
    fn add(&self, count: usize) {
        *self.answered.lock().expect("no panic under it") += count;
        self.more.notify_all();
    }

    fn wait_for(&self, count: usize) {
        let mut answered = self.answered.lock().expect("no panic under it");
        while *answered < count {
            answered = self.more.wait(answered).expect("no panic under it");
        }
    }
}

/// Doubles numbers.
struct Doubler {
    tally: Arc<Tally>,
    is_dead: bool,
}

impl Runner<Number> for Doubler {
    fn run(&mut self, batch: Vec<Number>, station: &Station<'_>) -> Option<Error> {
        let count = batch.len();
        let is_dead = std::cell::Cell::new(self.is_dead);
        let lost = compute(
            batch,
            station,
            || is_dead.get(),
            |asked| {
                is_dead.set(is_dead.get() || asked.iter().any(|one| *one.input == FATAL));
                if is_dead.get() {
                    return Err(Error::InferenceFailed("an illegal memory access".into()));
                }
                Ok(asked.iter().map(|one| Ok(2 * one.input)).collect())
            },
        );
        self.is_dead = is_dead.get();
        self.tally.add(count);
        lost
    }
}

/// A queue and its workers.
struct House {
    queue: Arc<Queue<Number>>,
    tally: Arc<Tally>,
    workers: Vec<JoinHandle<()>>,
}

/// What a client has in its hands: the answers that it waits for, or why there are none.
type Asked = Result<Vec<(u64, Answer<u64>)>>;

fn admit(queue: &Arc<Queue<Number>>, numbers: &[u64], context: &Context) -> Asked {
    let places = queue.admit(numbers.len())?;
    thread::yield_now();
    let tickets = numbers
        .iter()
        .map(|&number| Ticket::new((number, 1), context, "engine"));
    let (works, answers): (Vec<_>, Vec<_>) = tickets.unzip();
    places.push(works);
    Ok(numbers.iter().copied().zip(answers).collect())
}

impl House {
    fn new(workers: usize, policy: Policy) -> Self {
        let cores = Cores::new(NonZeroUsize::MIN);
        let tally = Arc::new(Tally::default());
        let queue = Arc::new(Queue::new("numbers", policy, workers, Arc::new(Silent)));
        let workers = (0..workers).map(|index| {
            let share = Share {
                cores: Arc::clone(&cores),
                count: 1,
            };
            let worker = Worker {
                index,
                queue: Arc::clone(&queue),
                share,
                observer: Arc::new(Silent),
            };
            let mut runner = Doubler {
                tally: Arc::clone(&tally),
                is_dead: false,
            };
            thread::spawn(move || worker.work(&mut runner))
        });
        let workers = workers.collect();
        Self {
            queue,
            tally,
            workers,
        }
    }

    /// A client on a thread of its own that asks for `numbers` in one request.
    fn client(&self, numbers: &'static [u64], context: &Context) -> JoinHandle<Asked> {
        let (queue, context) = (Arc::clone(&self.queue), context.clone());
        thread::spawn(move || admit(&queue, numbers, &context))
    }

    fn closer(&self) -> JoinHandle<()> {
        let queue = Arc::clone(&self.queue);
        thread::spawn(move || queue.close())
    }

    /// Waits until the workers have ended, as they do when the queue is closed.
    fn ends(self) {
        for worker in self.workers {
            worker.join().expect("a worker outlives whatever it computes");
        }
        assert!(self.queue.is_idle(), "something was left in the queue");
    }
}

fn policy(max_batch: usize, capacity: usize) -> Policy {
    Policy {
        max_batch,
        max_delay: Duration::ZERO,
        capacity,
    }
}

/// Panics unless every number has the answer that `is_right` wants.
fn expect_answers(asked: Vec<(u64, Answer<u64>)>, is_right: impl Fn(u64, Result<u64>) -> bool) {
    for (number, mut answer) in asked {
        let found = answer.try_recv().expect("it was admitted, so it is answered");
        let found = found.map(|completed| completed.output);
        assert!(is_right(number, found.clone()), "{number}: {found:?}");
    }
}

/// Workers that sleep are woken for whatever comes: everything is answered, though nobody closes the queue before.
pub fn nobody_sleeps_over_work() {
    let house = House::new(2, policy(2, 8));
    let context = Context::default();
    let clients = [
        house.client(&[1, 2, 3], &context),
        house.client(&[4, 5], &context),
    ];
    let asked = clients.map(|client| client.join().expect("no panic").expect("there is room"));
    house.tally.wait_for(5);
    house.queue.close();
    house.ends();
    asked
        .into_iter()
        .for_each(|asked| expect_answers(asked, |number, found| found == Ok(2 * number)));
}

/// Whenever the queue is closed: what was admitted is answered, the rest is refused, and the workers end.
pub fn closing_loses_nothing() {
    for max_delay in [Duration::ZERO, Duration::from_secs(3600)] {
        let house = House::new(
            2,
            Policy {
                max_delay,
                ..policy(2, 4)
            },
        );
        let context = Context::default();
        let clients = [house.client(&[1, 2], &context), house.client(&[3], &context)];
        let closer = house.closer();
        let asked = clients.map(|client| client.join().expect("no panic"));
        closer.join().expect("no panic");
        house.ends();
        for asked in asked {
            match asked {
                Ok(asked) => expect_answers(asked, |number, found| found == Ok(2 * number)),
                Err(error) => assert!(matches!(error, Error::NotReady(_)), "{error}"),
            }
        }
    }
}

/// Places that are given back unused keep no worker from ending.
pub fn unused_places_hold_nobody_up() {
    let house = House::new(2, policy(2, 4));
    let queue = Arc::clone(&house.queue);
    let quitter = thread::spawn(move || drop(queue.admit(2)));
    let client = house.client(&[1], &Context::default());
    let closer = house.closer();
    quitter.join().expect("no panic");
    closer.join().expect("no panic");
    let asked = client.join().expect("no panic");
    house.ends();
    if let Ok(asked) = asked {
        expect_answers(asked, |number, found| found == Ok(2 * number));
    }
}

/// No more is admitted than there are places, and a place that is free again is found.
pub fn places_are_never_more_than_there_are() {
    let house = House::new(1, policy(1, 1));
    let context = Context::default();
    let clients: [_; 3] = [&[1], &[2], &[3]].map(|numbers| house.client(numbers, &context));
    let asked = clients.map(|client| client.join().expect("no panic"));
    let admitted = asked.iter().filter(|asked| asked.is_ok()).count();
    assert!(admitted >= 1, "the first finds the place free");
    house.tally.wait_for(admitted);
    let last = admit(&house.queue, &[4], &context).expect("the place is free");
    house.queue.close();
    house.ends();
    for asked in asked.into_iter().chain([Ok(last)]) {
        match asked {
            Ok(asked) => expect_answers(asked, |number, found| found == Ok(2 * number)),
            Err(error) => assert!(matches!(error, Error::QueueFull { .. }), "{error}"),
        }
    }
}

/// A device that is lost takes nobody's answer with it: an item that was admitted is answered, by another worker or with the
/// loss.
pub fn a_lost_device_leaves_nobody_waiting() {
    let house = House::new(2, policy(1, 8));
    let context = Context::default();
    let clients = [
        house.client(&[1, FATAL], &context),
        house.client(&[FATAL], &context),
        house.client(&[2], &context),
    ];
    let asked = clients.map(|client| client.join().expect("no panic"));
    house.queue.close();
    house.ends();
    for asked in asked {
        match asked {
            Ok(asked) => expect_answers(asked, |number, found| match found {
                Ok(output) => number != FATAL && output == 2 * number,
                Err(error) => matches!(error, Error::DeviceLost(_)),
            }),
            Err(error) => assert!(matches!(error, Error::DeviceLost(_)), "{error}"),
        }
    }
}

/// A client that leaves at any time costs others nothing.
pub fn who_leaves_takes_nothing_along() {
    let house = House::new(2, policy(2, 4));
    let leaving = Context::default();
    let leaver = house.client(&[1, 2], &leaving);
    let stays = house.client(&[3], &Context::default());
    let cancel = thread::spawn(move || leaving.cancellation.cancel());
    let stayed = stays.join().expect("no panic").expect("there is room");
    let left = leaver.join().expect("no panic").expect("there is room");
    cancel.join().expect("no panic");
    house.queue.close();
    house.ends();
    expect_answers(stayed, |number, found| found == Ok(2 * number));
    for (number, mut answer) in left {
        // Computed before it left, or never.
        let found = answer.try_recv().ok().map(|found| found.map(|done| done.output));
        assert!(found.is_none_or(|found| found == Ok(2 * number)));
    }
}

/// Permits never hold more cores than there are, and everybody gets its own in the end.
pub fn permits_hold_no_more_than_there_is() {
    const COUNT: usize = 3;
    let cores = Cores::new(NonZeroUsize::new(COUNT).expect("3 is not zero"));
    let used = Arc::new(AtomicUsize::new(0));
    let wanted = [
        (Class::Predict, 1),
        (Class::Explain, 3),
        (Class::Predict, 2),
        (Class::Explain, 0),
    ];
    let threads = wanted.map(|(class, count)| {
        let (cores, used) = (Arc::clone(&cores), Arc::clone(&used));
        thread::spawn(move || {
            for _ in 0..2 {
                let permit = cores.acquire(class, count);
                let now = used.fetch_add(permit.count(), Ordering::SeqCst) + permit.count();
                assert!(now <= COUNT, "{now} cores are held");
                used.fetch_sub(permit.count(), Ordering::SeqCst);
            }
        })
    });
    for thread in threads {
        thread.join().expect("no panic");
    }
    assert_eq!((cores.in_use(), cores.waiting()), (0, 0));
}

/// Where no pass is waited for, the others get cores beside one that does not end, at least one each, and never its own.
pub fn a_pass_without_an_end_leaves_the_others_theirs() {
    const COUNT: usize = 3;
    let count = NonZeroUsize::new(COUNT).expect("3 is not zero");
    // Nobody is waited for, so no clock decides what happens.
    let cores = Cores::giving_up_on(count, Duration::ZERO);
    let endless = cores.acquire(Class::Predict, 1);
    let threads = [(Class::Predict, 3), (Class::Explain, 2), (Class::Predict, 1)].map(|(class, wanted)| {
        let cores = Arc::clone(&cores);
        thread::spawn(move || {
            let permit = cores.acquire(class, wanted);
            assert!(
                (1..COUNT).contains(&permit.count()),
                "a pass holds {}",
                permit.count()
            );
        })
    });
    for thread in threads {
        thread.join().expect("no panic");
    }
    assert_eq!((cores.in_use(), cores.waiting()), (1, 0));
    drop(endless);
}
