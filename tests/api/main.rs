//! The HTTP surface, in-process: what each route answers, and how each failure is told.
#![expect(unreachable_pub, reason = "a test program has no outside")]

#[path = "../support/mod.rs"]
mod support;

mod arrays;
mod attributions;
mod bounds;
mod closed_forms;
mod cures;
mod detectors;
mod errors;
mod explain;
mod instances;
mod operations;
mod predict;
mod saliency;
mod slow;
mod tasks;
mod tensors;
