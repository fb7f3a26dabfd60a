//! What `torch.export.save` writes, read without torch: a `.pt2` file is a ZIP archive with the graph of each method as JSON
//! and its weights as raw numbers. Nothing in it is run, and no pickle is opened.
//!
//! [`Exported::read`] checks all of it (the version, each name, each size against the file) and answers the methods as steps
//! in a tree of module calls, as the network was written: where a module was called, a [`Call`] stands, with what went in
//! and what came out. So a layer can be looked at where a forward hook would stand.
//!
//! ```no_run
//! let file = std::fs::File::open("model.pt2")?;
//! let exported = exported_program::Exported::read(&file)?;
//! for method in &exported.methods {
//!     println!("{} takes {} arguments", method.name, method.arguments.len());
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The format: `torch/_export/serde/schema.py` and `torch/export/pt2_archive` of PyTorch 2.13, schema 8.

mod archive;
mod branches;
mod graph;
mod modules;
mod operators;
mod paths;
mod program;
mod read;
mod refused;
mod schema;
mod scopes;
mod shapes;
mod signature;
mod tree;
mod values;
mod weights;

pub use program::{
    Arg, Argument, Attribute, Body, Branch, Call, Exported, Id, Kind, Method, Operator, Output, Step, Symbol,
    Whole,
};
pub use refused::{Refused, Result};
pub use shapes::{Dimension, Range, Shape};
pub use tree::{Key, Tree};
pub use weights::{Number, Records, Weight};
