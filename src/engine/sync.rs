//! What threads of the engine wait for each other with: the standard library's, or that of `crates/interleavings`, which
//! decides itself which thread goes on.

#[cfg(interleaved)]
pub(super) use shuttle::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, atomic};
#[cfg(not(interleaved))]
pub(super) use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, atomic};
