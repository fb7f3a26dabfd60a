//! The program itself, over a socket, with clients that crowd in, hang up and ask to stop.
#![expect(unreachable_pub, reason = "a test program has no outside")]

#[path = "../support/mod.rs"]
mod support;

mod server;

mod batches;
mod bounds;
mod changes;
mod commands;
mod crowd;
mod evaluations;
mod exported;
mod frames;
mod habits;
mod inspect;
mod plan;
mod signals;
mod sockets;
mod streams;
mod tls;
mod traces;
mod trials;
