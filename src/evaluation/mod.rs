//! How good a model is, in figures of the field: from what it answered and what is true, with no picture, model or file in it.

mod average_precision;
mod confusion;
mod coverage;
mod polygon;
mod region;
mod reliability;
mod temperature;

pub use average_precision::{AveragePrecision, Detected, Precisions, Truth};
pub use confusion::{Confused, Confusion};
pub use coverage::{ClassCoverage, Coverage, IGNORED};
pub use region::{Edges, Pixels, Region};
pub use reliability::{BINS, Bin, Reliability};
pub use temperature::{Fitted, Sample, fit, negative_log_likelihood};
