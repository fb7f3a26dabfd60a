//! The program itself, over a socket, with clients that crowd in, hang up and ask to stop.

#[path = "../support/mod.rs"]
mod support;

mod server;

mod crowd;
mod signals;
