//! gRPC over HTTP/2: messages in their frames, deadlines, and statuses.
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>
//!
//! Messages are read as bodies are: with their clocks, and within the room that all bodies have.

mod call;
mod messages;
mod reply;
mod status;
mod timeout;

pub use call::{call, change, small, work};
pub use messages::Messages;
pub use reply::{stream, unary};
pub use status::body;
pub use timeout::{context, deadline};

use axum::http::HeaderMap;

use super::body::content_type;

/// Whether a request with these headers is gRPC.
#[must_use]
pub fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = content_type(headers);
    let rest = kind.strip_prefix("application/grpc");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';']))
}
