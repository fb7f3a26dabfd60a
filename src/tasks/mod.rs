//! What a model is for: one file a task, from the raw output on the device to a typed result.
//!
//! An [`Operation`] ties together what goes in, how it is asked and what comes out. A task checks at load that the module
//! keeps its contract (see docs/tasks.md), so that a request only ever meets a model that answers in the right shape.

mod agreement;
mod allowance;
pub mod bounds;
pub mod captioning;
pub mod classification;
pub mod detection;
pub mod embedding;
mod examination;
mod frame;
mod gist;
pub mod image_to_image;
mod labels;
mod misfit;
pub mod odds;
mod operation;
mod predictor;
pub mod regression;
mod rle;
mod row_count;
mod scaled;
pub mod segmentation;
mod spec;
mod tap;
pub mod tensor;
pub mod vae;

pub use agreement::Scores;
pub use allowance::Allowance;
pub use examination::{can_be_examined, examine};
pub use frame::Frame;
pub use gist::{Apart, Gist};
pub use labels::Labels;
pub use misfit::{ALONE, NOT_F32};
pub use operation::{Operation, Request, TicketOf, Weighed};
pub use predictor::{Predictor, argument, bear_extremes, exercise, methods, takes_one_batch};
pub use rle::Rle;
pub(crate) use scaled::scaled;
pub use spec::ModelSpec;
