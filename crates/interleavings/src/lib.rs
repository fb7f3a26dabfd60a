//! The engine of the server, compiled a second time with locks whose scheduler decides which thread goes on. Its scenarios
//! are in `src/engine/interleaved.rs`; the tests of this crate run them.
#![forbid(unsafe_code)]

#[path = "../../../src/engine/mod.rs"]
pub mod engine;
#[path = "../../../src/error.rs"]
pub mod error;
#[path = "../../../src/spans.rs"]
pub mod spans;
