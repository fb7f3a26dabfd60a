//! Lucarne serves trained PyTorch vision models over HTTP, and shows where they looked.
//!
//! ARCHITECTURE.md is the map of these modules and of who may name whom.
#![forbid(unsafe_code)]

pub mod app;
pub mod cli;
pub mod config;
pub mod engine;
pub mod error;
pub mod explain;
pub mod http;
pub mod image;
pub mod repository;
pub mod tasks;
pub mod telemetry;
