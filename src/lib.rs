//! Lucarne serves trained PyTorch vision models over HTTP, and shows where they looked.
#![forbid(unsafe_code)]

pub mod error;
