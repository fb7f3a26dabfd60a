//! The HTTP surface, in-process: what each route answers, and how each failure is told.

#[path = "../support/mod.rs"]
mod support;

mod errors;
mod explain;
mod operations;
mod predict;
