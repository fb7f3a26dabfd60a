//! What every protocol reads alike: parameters by name, whatever they stand in; JSON that stops at its bounds; base64; the parts of a multipart body.

pub mod b64;
pub mod bounded;
pub mod multipart;
mod parameters;
pub mod query;
mod text;

pub use parameters::{MOST_PARAMETERS, MOST_TEXT, Parameters};
