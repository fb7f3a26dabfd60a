//! The use cases, in types that no protocol owns: predict, explain, visualise, latents, models.
//!
//! Every protocol reads its own spelling of a request, asks here, and writes its own spelling of the answer. What can be
//! refused without a place in a queue is refused before one is taken.

mod compare;
mod compare_methods;
mod decode;
mod explain;
mod latents;
mod lifecycle;
mod mask_question;
mod predict;
pub mod render;
mod shadow;
mod spare;
mod spent;
mod state;
mod turns;
mod uncertain;

pub use compare::Compared;
pub use compare_methods::MethodsCompared;
pub use decode::{Originals, Pictures};
pub use explain::{Asked, Attributed, Explained, ExplainedImage};
pub use latents::{Decoded, Draw, Way};
pub use mask_question::{MaskForm, MaskQuestion};
pub use predict::{Predicted, Seen};
pub use spent::Spent;
pub use state::{Limits, Service};
pub use uncertain::Certainty;
