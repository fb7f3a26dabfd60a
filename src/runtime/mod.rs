//! Loaded models on devices: the torch side of the server.
//!
//! A [`Program`] is what can be called, whatever format it was loaded from; a [`Transparent`] one shows its layers, and so
//! can be explained. Each format is a folder that makes them from an [`Artifact`]; a caller that asks for predictions or
//! explanations never learns which format it has. Every pass wants a [`CorePermit`](crate::engine::CorePermit).

mod aoti;
mod artifact;
pub mod chosen;
pub mod device;
mod difference;
mod exported;
mod fault;
mod foreign;
mod open;
mod parts;
pub mod plan;
mod precision;
pub mod process;
mod program;
mod requirements;
mod selected;
pub mod staging;
mod torchscript;
mod wrapped;

pub use artifact::Artifact;
pub use difference::Difference;
pub(crate) use exported::{Bounds, Found};
pub use fault::raised;
pub(crate) use open::module;
pub use open::{Formats, Native};
pub use program::{Call, Captured, Held, Program, Transparent, gradients};
pub use requirements::{Agreement, Examine, Measured, Opened, Requirements};
pub use selected::Selection;
