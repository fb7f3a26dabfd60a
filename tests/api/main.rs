//! The HTTP surface, in-process: what each route answers, and how each failure is told.
#![expect(unreachable_pub, reason = "a test program has no outside")]

#[path = "../support/mod.rs"]
mod support;

mod arrays;
mod attributions;
mod bounds;
mod clients;
mod closed_forms;
mod comparisons;
mod cures;
mod detectors;
mod embeddings;
mod errors;
mod evidence;
mod explain;
mod grpc;
mod image_to_image;
mod instances;
mod keys;
mod kserve;
mod lifecycle;
mod misfits;
mod not_finite;
mod oip;
mod operations;
mod overlaps;
mod precision;
mod predict;
mod regression;
mod rests;
mod saliency;
mod slow;
mod tasks;
mod tensors;
mod torchserve;
mod uncertainty;
mod versions;
mod weights;
mod whole_numbers;
