//! The use cases without a protocol: models that come and go, permits, cancellation, what passes cost.
#![expect(unreachable_pub, reason = "a test program has no outside")]

#[path = "../support/mod.rs"]
mod support;

mod catalog;
mod counting;
mod passes;
mod small;
