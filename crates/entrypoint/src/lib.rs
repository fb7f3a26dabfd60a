//! What of a container's programs needs no libtorch, which takes a third of a second and a hundred megabytes to start.
#![forbid(unsafe_code)]

pub mod health;
pub mod signals;
