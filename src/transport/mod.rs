//! HTTP itself, whatever is spoken over it: bodies within their bounds, slow clients, request ids, events, and what a
//! failure is as a status. Protocols stand on it.

mod activity;
mod app;
mod body;
mod connections;
mod deadline;
mod encoding;
mod events;
mod expansion;
mod failure;
mod guarded;
mod layers;
mod linger;
mod pace;
mod room;

pub use app::App;
pub use body::{Form, Received, content_type};
pub use connections::{Connections, listen};
pub use deadline::{TIMEOUT_HEADER, deadline, within};
pub use events::{Streamed, stream};
pub use failure::{Failure, advise, failure, report};
pub use guarded::holding;
pub use layers::{ErrorBody, Paths, as_page, serve_with};
