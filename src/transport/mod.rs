//! HTTP itself, whatever is spoken over it: bodies within their bounds, slow clients, request ids, events, and what a
//! failure is as a status. Protocols stand on it.

mod activity;
mod answering;
mod app;
mod body;
mod changed;
mod connections;
mod deadline;
mod encoding;
mod events;
mod expansion;
mod failure;
pub mod grpc;
mod guarded;
mod hosts;
mod jwks;
mod key;
mod keys;
mod keys_file;
mod layers;
mod linger;
mod open;
mod pace;
mod rate;
mod room;
mod served;
mod sockets;
mod tls;
mod tokens;
mod watched;

pub use app::{App, ROUTING_HEADER};
pub use body::{Form, Received, content_type};
pub use connections::Connections;
pub use deadline::{TIMEOUT_HEADER, deadline, within};
pub use events::{Streamed, stream};
pub use failure::{Failure, advise, failure, report};
pub use guarded::holding;
pub use key::Scope;
pub use keys::{Caller, Keys};
pub use layers::{ErrorBody, Paths, as_page, serve_with};
pub use open::Listener;
pub use sockets::{Socket, Stream, UnixSocket, listen, listen_in_file};
pub use tls::Tls;
