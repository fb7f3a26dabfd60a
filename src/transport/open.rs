//! The connections that are open, and which of them gives way where there are too many.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use super::activity::{Activity, Patience};
use super::tls::Tls;

/// What the connections of a server share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) most: usize,
    /// Requests under way on all connections, of which there are at most as many: one of HTTP/2 has several.
    pub(super) requests: Arc<AtomicUsize>,
    pub(super) patience: Patience,
    open: Mutex<HashMap<u64, Open>>,
    /// Tells the task that drains that a connection ended.
    pub(super) ended: Notify,
    pub(super) stage: watch::Sender<Stage>,
    tls: Option<Arc<Tls>>,
    accepted: AtomicU64,
    /// When a connection gave way to a request last.
    gave_way: Mutex<Option<Instant>>,
}

/// Where a connection came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// Where everybody does.
    Public,
    /// Where operators do, in the clear.
    Operations,
}

/// One connection, as others see it.
#[derive(Debug, Clone)]
pub(super) struct Open {
    pub(super) peer: IpAddr,
    pub(super) activity: Arc<Activity>,
    pub(super) evicted: Arc<Notify>,
}

/// The life of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Serving,
    /// Each connection ends with what it has asked for.
    Draining,
    /// Each ends now.
    Over,
}

/// When the server ends, for requests that have no end of their own.
#[derive(Debug, Clone)]
pub(super) struct Ending(pub(super) watch::Receiver<Stage>);

impl Ending {
    /// Waits until the server ends.
    pub(super) async fn comes(&mut self) {
        // The sender may have gone, which is an end, too.
        drop(self.0.wait_for(|stage| *stage != Stage::Serving).await);
    }
}

/// Takes a connection off the list, however its task ends.
pub(super) struct Listed {
    pub(super) shared: Arc<Shared>,
    pub(super) id: u64,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.shared.open().remove(&self.id);
        self.shared.ended.notify_waiters();
    }
}

impl Shared {
    /// As many connections as `most`, which are so patient.
    pub(super) fn new(most: usize, patience: Patience, tls: Option<Arc<Tls>>) -> Self {
        Self {
            most,
            requests: Arc::default(),
            patience,
            open: Mutex::default(),
            ended: Notify::new(),
            stage: watch::Sender::new(Stage::Serving),
            tls,
            accepted: AtomicU64::new(0),
            gave_way: Mutex::default(),
        }
    }

    /// A number for one more connection.
    pub(super) fn next_id(&self) -> u64 {
        self.accepted.fetch_add(1, Ordering::Relaxed)
    }

    /// What is spoken at this listener before HTTP is.
    pub(super) fn tls(&self, listener: Listener) -> Option<Arc<Tls>> {
        self.tls.clone().filter(|_| listener == Listener::Public)
    }

    /// The connections, by number.
    pub(super) fn open(&self) -> MutexGuard<'_, HashMap<u64, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is room for one more connection; one that nothing is asked of gives way, or one that keeps what it asked waiting.
    pub(super) fn make_room(&self) -> bool {
        let mut open = self.open();
        if open.len() < self.most {
            return true;
        }
        let least_wanted = least_wanted(&open, |_| true).or_else(|| slowest(&open, Instant::now()));
        let Some(least_wanted) = least_wanted else {
            return false;
        };
        // From now on it does not count; its task ends in a moment.
        if let Some(one) = open.remove(&least_wanted) {
            one.evicted.notify_one();
        }
        true
    }

    /// Whether there is room for one more request of a connection that may have several; a connection whose requests all
    /// wait for their client gives way.
    pub(super) fn has_room_for_request(&self) -> bool {
        if self.requests.load(Ordering::Relaxed) < self.most {
            return true;
        }
        // To look through all of them costs something: so many that ask in vain must not have it done each time.
        const PAUSE: Duration = Duration::from_millis(20);
        let mut last = self.gave_way.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() > PAUSE) {
            *last = Some(Instant::now());
            let open = self.open();
            if let Some(one) = least_wanted(&open, |activity| activity.resting() > 0) {
                open[&one].evicted.notify_one();
            }
        }
        false
    }
}

/// How many connections each address has.
fn by_peer(open: &HashMap<u64, Open>) -> HashMap<IpAddr, usize> {
    let mut of_peer = HashMap::new();
    for one in open.values() {
        *of_peer.entry(one.peer).or_default() += 1;
    }
    of_peer
}

/// The connection that gives way where each has a request: one whose client has kept all of its own waiting for a while.
fn slowest(open: &HashMap<u64, Open>, now: Instant) -> Option<u64> {
    /// A body or an answer is on its way for as long anywhere.
    const WHILE: Duration = Duration::from_millis(250);
    let of_peer = by_peer(open);
    let slow = open.iter().filter_map(|(id, one)| {
        let waited = one.activity.kept_waiting(now).filter(|waited| *waited > WHILE)?;
        Some((of_peer.get(&one.peer).copied(), waited, *id))
    });
    slow.max().map(|(_, _, id)| id)
}

/// The connection that gives way first, if one that counts has no request.
fn least_wanted(open: &HashMap<u64, Open>, counts: impl Fn(&Activity) -> bool) -> Option<u64> {
    let of_peer = by_peer(open);
    let without_request = open.iter().filter_map(|(id, one)| {
        let since = one
            .activity
            .without_request_since()
            .filter(|_| counts(&one.activity))?;
        Some((Reverse(of_peer.get(&one.peer).copied()), since, *id))
    });
    without_request.min().map(|(_, _, id)| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_gives_way_has_no_request_and_the_most_connections() {
        let [flood, proxy, other] = [1, 2, 3].map(|last| IpAddr::from([127, 0, 0, last]));
        let mut open = HashMap::new();
        for (id, peer) in [other, proxy, proxy, flood, flood, flood].into_iter().enumerate() {
            let (activity, evicted) = (Activity::new(Arc::default()), Arc::new(Notify::new()));
            open.insert(
                id as u64,
                Open {
                    peer,
                    activity,
                    evicted,
                },
            );
        }
        let _request = open[&3].activity.begin();
        let mut order = Vec::new();
        while let Some(id) = least_wanted(&open, |_| true) {
            order.push(id);
            open.remove(&id);
        }
        // One of the flood's has a request: it stays, and counts.
        assert_eq!(order, [4, 1, 5, 0, 2]);
        let later = Instant::now() + Duration::from_secs(1);
        assert_eq!(slowest(&open, later), None, "the server is at work");
        let _body = open[&3].activity.receive();
        assert_eq!(slowest(&open, Instant::now()), None, "it has just begun");
        assert_eq!(slowest(&open, later), Some(3));
    }
}
