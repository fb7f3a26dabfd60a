//! HTTP itself, whatever is spoken over it: bodies within their bounds, slow clients, request ids, events, and what a
//! failure is as a status. Protocols stand on it.

mod app;
mod body;
mod deadline;
mod events;
mod failure;
mod layers;
mod linger;

pub use app::App;
pub use body::{Form, Received, content_type};
pub use deadline::{deadline, within};
pub use events::{Streamed, stream};
pub use failure::{Failure, failure, report};
pub use layers::{ErrorBody, serve_with};
