//! The model repository: a folder of model folders, what each says of itself, and what is served of it.

pub mod check;
mod digest;
mod loader;
pub mod manifest;
mod registry;

pub use loader::{Loader, Model, Opened, open};
pub use registry::{Entry, Registry, State};
