//! Memory that many may take together, up to a bound.
//!
//! Decoding waits for its memory on the thread that decodes, first come, first served: a holder is at work on
//! another such thread, so it comes free. What is held beyond a piece of work is taken at once or not at all.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A budget in bytes. Threads that wait for some of it are served in the order in which they came.
#[derive(Debug)]
pub struct Memory {
    most: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    taken: u64,
    /// The number of the next thread that waits, and of the next that is served.
    next: u64,
    serving: u64,
}

/// Memory that is taken, until it is dropped.
#[derive(Debug)]
pub struct Taken {
    memory: Arc<Memory>,
    bytes: u64,
}

impl Memory {
    /// So many bytes.
    #[must_use]
    pub fn new(most: u64) -> Arc<Self> {
        Arc::new(Self {
            most,
            state: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many bytes there are.
    #[must_use]
    pub fn most(&self) -> u64 {
        self.most
    }

    /// How many are taken now.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.lock().taken
    }

    /// Takes `bytes`, where they are there.
    #[must_use]
    pub fn take_now(self: &Arc<Self>, bytes: u64) -> Option<Taken> {
        let mut state = self.lock();
        if state.taken.saturating_add(bytes) > self.most {
            return None;
        }
        state.taken += bytes;
        Some(Taken {
            memory: Arc::clone(self),
            bytes,
        })
    }

    /// Waits for `bytes`, no more than there are.
    pub(super) fn wait_for(self: &Arc<Self>, bytes: u64) -> Taken {
        let bytes = bytes.min(self.most);
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        while state.serving != number || state.taken + bytes > self.most {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.serving += 1;
        state.taken += bytes;
        drop(state);
        self.changed.notify_all();
        Taken {
            memory: Arc::clone(self),
            bytes,
        }
    }
}

impl Taken {
    /// How much it is.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.memory.lock().taken -= self.bytes;
        self.memory.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn what_is_there_is_taken_at_once_or_not_at_all() {
        let memory = Memory::new(100);
        let held = memory.take_now(60).expect("it is there");
        assert!(memory.take_now(41).is_none(), "40 are left");
        drop(held);
        drop(memory.take_now(100).expect("all of it"));
        assert_eq!(memory.taken(), 0);
    }

    #[test]
    fn nobody_waits_longer_than_who_came_before() {
        let memory = Memory::new(100);
        let held = memory.wait_for(60);
        let order = Arc::new(Mutex::new(Vec::new()));
        // Not both at once: who comes second has to see the first one end.
        let waiting: Vec<_> = [95, 10]
            .into_iter()
            .map(|bytes| {
                let before = memory.lock().next;
                let (waits, order) = (Arc::clone(&memory), Arc::clone(&order));
                let thread = thread::spawn(move || {
                    let held = waits.wait_for(bytes);
                    order.lock().expect("a list").push(bytes);
                    drop(held);
                });
                while memory.lock().next == before {
                    thread::yield_now();
                }
                thread
            })
            .collect();
        drop(held);
        waiting
            .into_iter()
            .for_each(|thread| thread.join().expect("no panic"));
        assert_eq!(*order.lock().expect("a list"), [95, 10]);
        assert_eq!(memory.taken(), 0);
    }
}
