//! torch-bridge against PyTorch: see the modules.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod calls;
mod cuda;
mod exported;
mod fixtures;
mod habits;
mod layers;
mod packages;
mod shuffled;
mod specialised;
mod taps;
mod threads;
mod vision;
