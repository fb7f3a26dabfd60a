//! What is served: every model folder, its versions, and the models that answer for them.
//!
//! Each artifact is opened once; a request that computes gets a handle. Models are loaded, replaced and retired on a thread of
//! their own while requests run: a request keeps the model that it began with until it ends.

mod asked;
mod batches;
mod changes;
mod check;
mod draw;
mod engines;
mod entry;
mod files;
mod load;
mod loader;
mod loads;
mod model;
mod names;
mod poll;
mod rested;
mod roster;
mod stamp;
mod thread;
mod trial;

pub use check::{Finding, check, problems};
pub use engines::HasEngine;
pub use entry::{State, Wanted};
pub use loader::{Loader, ObserverOf, open_alone};
pub(crate) use loads::to_its_end;
pub use model::{Measured, Model, Predict};
pub use poll::Seen;
pub use roster::{Catalog, Listed};
pub use trial::{Trials, VERDICT};
