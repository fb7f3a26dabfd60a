//! Who may compute now? Every model has threads of its own, but the machine has only so many cores. A worker
//! takes a turn of as many cores as it uses before each forward pass, so that the sum never exceeds what is
//! there: oversubscribed CPUs turn milliseconds into seconds.
//!
//! Turns are given first come, first served within a class. Predictions go before explanations, so that an
//! explanation delays a prediction by at most the one pass that is already running; an explanation that was
//! passed over [`PATIENCE`] times goes first, so that it ends at all under full load.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// How many predictions may overtake a waiting explanation.
pub const PATIENCE: usize = 4;

/// The class of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A batch of predictions.
    Predict,
    /// One pass of an explanation.
    Explain,
}

#[derive(Debug)]
struct State {
    free: usize,
    next_ticket: u64,
    overtaken: usize,
    predict: VecDeque<(u64, usize)>,
    explain: VecDeque<(u64, usize)>,
}

impl State {
    fn queue(&mut self, class: Class) -> &mut VecDeque<(u64, usize)> {
        match class {
            Class::Predict => &mut self.predict,
            Class::Explain => &mut self.explain,
        }
    }

    /// The class whose head is next, regardless of whether there are enough free cores for it.
    fn next_class(&self) -> Option<Class> {
        match (self.predict.is_empty(), self.explain.is_empty()) {
            (true, true) => None,
            (false, true) => Some(Class::Predict),
            (true, false) => Some(Class::Explain),
            (false, false) if self.overtaken >= PATIENCE => Some(Class::Explain),
            (false, false) => Some(Class::Predict),
        }
    }

    /// Gives the turn to `ticket` if it is next and its cores are free.
    fn grant(&mut self, class: Class, ticket: u64) -> bool {
        if self.next_class() != Some(class) {
            return false;
        }
        let free = self.free;
        let Some(&(head, cores)) = self.queue(class).front() else {
            return false;
        };
        if head != ticket || cores > free {
            return false;
        }
        self.queue(class).pop_front();
        self.free -= cores;
        self.overtaken = match class {
            Class::Predict if !self.explain.is_empty() => self.overtaken + 1,
            _ => 0,
        };
        true
    }
}

/// The cores of the machine, shared by all workers.
#[derive(Debug)]
pub struct Turns {
    cores: usize,
    state: Mutex<State>,
    changed: Condvar,
}

impl Turns {
    /// Turns over `cores` cores.
    #[must_use]
    pub fn new(cores: NonZeroUsize) -> Arc<Self> {
        Arc::new(Self {
            cores: cores.get(),
            state: Mutex::new(State {
                free: cores.get(),
                next_ticket: 0,
                overtaken: 0,
                predict: VecDeque::new(),
                explain: VecDeque::new(),
            }),
            changed: Condvar::new(),
        })
    }

    /// Turns over every core that this process may use.
    #[must_use]
    pub fn of_this_machine() -> Arc<Self> {
        Self::new(std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }

    /// How many cores there are to share.
    #[must_use]
    pub fn cores(&self) -> usize {
        self.cores
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is consistent between statements that cannot panic, so a poisoned lock is still good.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn of `cores` cores (at most all of them); it ends when the guard is dropped.
    pub fn take(&self, class: Class, cores: usize) -> Turn<'_> {
        let cores = cores.clamp(1, self.cores);
        let mut state = self.lock();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.queue(class).push_back((ticket, cores));
        while !state.grant(class, ticket) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
        // Cores may be left over for the one behind.
        self.changed.notify_all();
        Turn { turns: self, cores }
    }
}

/// The right to compute on some cores, until dropped.
#[derive(Debug)]
pub struct Turn<'a> {
    turns: &'a Turns,
    cores: usize,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.lock().free += self.cores;
        self.turns.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(free: usize) -> State {
        State {
            free,
            next_ticket: 0,
            overtaken: 0,
            predict: VecDeque::new(),
            explain: VecDeque::new(),
        }
    }

    #[test]
    fn predictions_go_first_but_an_explanation_does_not_starve() {
        let mut s = state(1);
        s.explain.push_back((0, 1));
        s.predict.extend((1..=10).map(|t| (t, 1)));
        let mut order = Vec::new();
        while let Some(class) = s.next_class() {
            let ticket = s.queue(class)[0].0;
            assert!(s.grant(class, ticket));
            order.push(ticket);
            s.free += 1;
        }
        assert_eq!(order[..6], [1, 2, 3, 4, 0, 5]);
    }

    #[test]
    fn a_turn_waits_for_its_cores_and_nobody_slips_past() {
        let mut s = state(1);
        s.predict.extend([(0, 2), (1, 1)]);
        assert!(!s.grant(Class::Predict, 0), "needs two cores, one is free");
        assert!(!s.grant(Class::Predict, 1), "is not at the head");
        s.free = 2;
        assert!(s.grant(Class::Predict, 0));
    }

    #[test]
    fn cores_in_use_never_exceed_the_cores_there_are() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let turns = Turns::new(NonZeroUsize::new(3).expect("3 is not zero"));
        let (used, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for i in 0..8 {
                let (turns, used, most) = (&turns, &used, &most);
                scope.spawn(move || {
                    for round in 0..200 {
                        let cores = 1 + (i + round) % 3;
                        let class = if i % 2 == 0 {
                            Class::Predict
                        } else {
                            Class::Explain
                        };
                        let turn = turns.take(class, cores);
                        let now = used.fetch_add(cores, Ordering::SeqCst) + cores;
                        most.fetch_max(now, Ordering::SeqCst);
                        used.fetch_sub(cores, Ordering::SeqCst);
                        drop(turn);
                    }
                });
            }
        });
        assert!(most.into_inner() <= 3);
        assert_eq!(turns.lock().free, 3);
    }
}
