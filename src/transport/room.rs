//! The memory that bodies take together, and each client's share of it.
//!
//! Where room is lacking, a body that hardly moves gives way to one that comes: a client that sends a part of something and
//! then little or nothing keeps nobody out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::error::{Error, Result};

/// Over how long a body's pace is measured.
const WINDOW: Duration = Duration::from_millis(500);

/// The pace below which a body gives way where room is lacking.
const SLOW_BYTES_A_SECOND: f64 = 256.0 * 1024.0;

/// How long a body waits for one that gives way.
const WAIT: Duration = Duration::from_millis(50);
const WAITS: usize = 100;

/// A body is small that takes no more than this part of all the room: 1 MiB of the default.
const SMALL_PART: usize = 128;

/// A budget in bytes for all bodies that are held at a time.
#[derive(Debug)]
pub(super) struct Room {
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next_id: u64,
    taken: usize,
    by_peer: HashMap<IpAddr, usize>,
    arriving: HashMap<u64, Arriving>,
}

/// A body that is on its way.
#[derive(Debug)]
struct Arriving {
    peer: IpAddr,
    bytes: usize,
    /// The present window began then, and so much came in it.
    since: Instant,
    recent: usize,
    /// Whether it was slow in the window before.
    was_slow: bool,
    /// When something came last.
    last: Instant,
    /// Whether more has come than there is room for: then it is not its client that is slow.
    waits: bool,
    evicted: Arc<Notify>,
}

impl Arriving {
    fn is_slow(&self) -> bool {
        let took = self.since.elapsed();
        if took < WINDOW {
            return self.was_slow;
        }
        self.last.elapsed() > WINDOW || (self.recent as f64) < SLOW_BYTES_A_SECOND * took.as_secs_f64()
    }

    fn came(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.recent += bytes;
        self.last = Instant::now();
        if self.since.elapsed() >= WINDOW {
            self.was_slow = self.is_slow();
            (self.since, self.recent) = (Instant::now(), 0);
        }
    }
}

/// The room that a body takes, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    room: Arc<Room>,
    id: u64,
    peer: IpAddr,
    bytes: AtomicUsize,
    evicted: Arc<Notify>,
}

/// Whose room is lacking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lack {
    /// Everybody's.
    Room,
    /// This client's.
    Share,
}

impl Room {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            state: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a body from `peer`, of no bytes yet.
    pub(super) fn place(self: &Arc<Self>, peer: Option<IpAddr>) -> Place {
        let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let evicted = Arc::new(Notify::new());
        let mut state = self.lock();
        let id = state.next_id;
        state.next_id += 1;
        let arriving = Arriving {
            peer,
            bytes: 0,
            since: Instant::now(),
            recent: 0,
            was_slow: false,
            last: Instant::now(),
            waits: false,
            evicted: Arc::clone(&evicted),
        };
        state.arriving.insert(id, arriving);
        drop(state);
        Place {
            room: Arc::clone(self),
            id,
            peer,
            bytes: AtomicUsize::new(0),
            evicted,
        }
    }

    /// Takes `bytes` more for a body, where there is room.
    fn take(&self, place: &Place, bytes: usize) -> std::result::Result<(), Lack> {
        let mut state = self.lock();
        let is_small = place.bytes.load(Ordering::Relaxed) + bytes <= self.most / SMALL_PART;
        // Some of the room is for small bodies alone, so that large ones, however quick, keep none of them out.
        let most = if is_small {
            self.most
        } else {
            self.most - self.most / 8
        };
        if state.taken + bytes > most {
            return Err(Lack::Room);
        }
        // One client leaves half of the room to the others.
        let share = state.by_peer.entry(place.peer).or_default();
        if !is_small && *share + bytes > self.most / 2 {
            return Err(Lack::Share);
        }
        *share += bytes;
        state.taken += bytes;
        if let Some(arriving) = state.arriving.get_mut(&place.id) {
            arriving.came(bytes);
        }
        drop(state);
        place.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Whether all that is taken is held by bodies that wait for more, of which `place` is the youngest: none would go on before
    /// one of them gives way.
    fn is_stuck(&self, place: &Place, lack: Lack) -> bool {
        let state = self.lock();
        let counts = |one: &Arriving| lack == Lack::Room || one.peer == place.peer;
        let waiting = state
            .arriving
            .iter()
            .filter(|(_, one)| one.waits && one.bytes > 0 && counts(one));
        let (mut held, mut youngest, mut count) = (0, 0, 0);
        for (id, one) in waiting {
            (held, youngest, count) = (held + one.bytes, youngest.max(*id), count + 1);
        }
        let taken = match lack {
            Lack::Room => state.taken,
            Lack::Share => state.by_peer.get(&place.peer).copied().unwrap_or(0),
        };
        count > 1 && held == taken && youngest == place.id
    }

    /// Has the largest of the slow bodies give way: one of the same client where its share is lacking.
    fn evict(&self, place: &Place, lack: Lack) {
        let state = self.lock();
        let slow = state.arriving.iter().filter(|(id, one)| {
            let counts = lack == Lack::Room || one.peer == place.peer;
            **id != place.id && one.bytes > 0 && counts && !one.waits && one.is_slow()
        });
        if let Some((_, largest)) = slow.max_by_key(|(_, one)| one.bytes) {
            largest.evicted.notify_one();
        }
    }
}

impl Place {
    /// Takes room for so many bytes more.
    ///
    /// # Errors
    /// [`Error::QueueFull`] where there is none, and none becomes free soon.
    pub(super) async fn grow(&self, bytes: usize) -> Result<()> {
        for _ in 0..WAITS {
            let Err(lack) = self.room.take(self, bytes) else {
                self.waits(false);
                return Ok(());
            };
            self.waits(true);
            if self.room.is_stuck(self, lack) {
                break;
            }
            self.room.evict(self, lack);
            tokio::time::sleep(WAIT).await;
        }
        Err(full())
    }

    fn waits(&self, waits: bool) {
        if let Some(arriving) = self.room.lock().arriving.get_mut(&self.id) {
            arriving.waits = waits;
        }
    }

    /// Takes room for so many bytes more, where there is some.
    ///
    /// # Errors
    /// [`Error::QueueFull`]
    pub(super) fn grow_now(&self, bytes: usize) -> Result<()> {
        self.room.take(self, bytes).map_err(|_| full())
    }

    /// The body is there: it does not give way any more.
    pub(super) fn arrived(&self) {
        self.room.lock().arriving.remove(&self.id);
    }

    /// Waits until this body has to give way.
    pub(super) async fn evicted(&self) {
        self.evicted.notified().await;
    }
}

fn full() -> Error {
    Error::QueueFull {
        queue: "request bodies (max_inflight_mb)".into(),
        retry_after: Duration::from_secs(1),
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let bytes = *self.bytes.get_mut();
        let mut state = self.room.lock();
        state.arriving.remove(&self.id);
        state.taken = state.taken.saturating_sub(bytes);
        if let Some(share) = state.by_peer.get_mut(&self.peer) {
            *share = share.saturating_sub(bytes);
            if *share == 0 {
                state.by_peer.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> Option<IpAddr> {
        Some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)))
    }

    #[tokio::test]
    async fn a_client_leaves_half_of_the_room_to_others() {
        let room = Room::new(1000);
        let (mine, yours) = (room.place(peer(1)), room.place(peer(2)));
        assert_eq!(mine.grow(500).await, Ok(()));
        mine.arrived();
        assert!(matches!(mine.grow(1).await, Err(Error::QueueFull { .. })));
        assert_eq!(yours.grow(375).await, Ok(()), "an eighth is for small ones");
        yours.arrived();
        let small = room.place(peer(1));
        assert_eq!(small.grow(7).await, Ok(()), "of whomever");
        drop(small);
        drop((mine, yours));
        let state = room.lock();
        assert_eq!((state.taken, state.by_peer.len()), (0, 0));
    }

    #[tokio::test]
    async fn a_body_that_hardly_moves_gives_way() {
        let room = Room::new(100);
        let still = room.place(peer(1));
        assert_eq!(still.grow(50).await, Ok(()));
        let reader = tokio::spawn(async move {
            still.evicted().await;
            drop(still);
        });
        let comes = room.place(peer(1));
        assert_eq!(comes.grow(50).await, Ok(()), "it waits for the other to give way");
        reader.await.expect("it was told");
    }

    #[tokio::test]
    async fn of_bodies_that_wait_for_each_other_the_youngest_gives_way() {
        let room = Room::new(1000);
        let (older, younger) = (room.place(peer(1)), room.place(peer(1)));
        assert_eq!(older.grow(250).await, Ok(()));
        assert_eq!(younger.grow(250).await, Ok(()));
        let grows = tokio::spawn(async move { older.grow(200).await });
        tokio::time::sleep(WAIT / 2).await;
        let started = Instant::now();
        assert!(matches!(younger.grow(200).await, Err(Error::QueueFull { .. })));
        assert!(started.elapsed() < WAIT * 20, "at once");
        drop(younger);
        assert_eq!(grows.await.expect("it ends"), Ok(()));
    }

    #[tokio::test]
    async fn a_body_that_is_there_stays() {
        let room = Room::new(100);
        let there = room.place(peer(1));
        assert_eq!(there.grow(50).await, Ok(()));
        there.arrived();
        assert!(matches!(
            room.place(peer(1)).grow(1).await,
            Err(Error::QueueFull { .. })
        ));
    }
}
