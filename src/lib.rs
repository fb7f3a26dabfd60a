//! Lucarne serves trained PyTorch vision models over HTTP, and shows where they looked.
//!
//! ARCHITECTURE.md is the map of these modules, and says which may name which.
#![forbid(unsafe_code)]

pub mod app;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod engine;
pub mod error;
pub mod evaluation;
pub mod explain;
pub mod image;
pub mod manifest;
pub mod outbound;
pub mod protocol;
pub mod reading;
pub mod runtime;
pub mod service;
pub mod spans;
pub mod tasks;
pub mod telemetry;
pub mod transport;
