//! Whatever bytes and texts come, nothing panics, and each refusal is one that the client can mend.
#![expect(unreachable_pub, reason = "a test program has no outside")]

#[path = "../support/mod.rs"]
mod support;

mod bodies;
mod seeds;
mod texts;
