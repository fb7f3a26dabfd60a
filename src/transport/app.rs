//! What every handler may use.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::HeaderMap;

use super::body::{Intake, Received};
use super::deadline::deadline;
use crate::config::Settings;
use crate::engine::Context;
use crate::error::{Error, Result};
use crate::service::Service;

/// See the module's text. Clones share everything.
#[derive(Debug, Clone)]
pub struct App {
    /// The use cases.
    pub service: Service,
    /// Reads bodies.
    intake: Arc<Intake>,
    /// Origins that browsers may call from.
    pub(super) cors_origins: Arc<[String]>,
    request_timeout: Option<Duration>,
    longest_request: Duration,
}

impl App {
    /// The service behind these settings.
    #[must_use]
    pub fn new(service: Service, settings: &Settings) -> Self {
        Self {
            service,
            intake: Arc::new(Intake::new(settings)),
            cors_origins: settings.cors_origins.clone().into(),
            request_timeout: settings.request_timeout(),
            longest_request: Duration::from_millis(settings.max_request_timeout_ms),
        }
    }

    /// The context of a request with these headers: its own deadline, else the server's; never more than the server allows.
    ///
    /// # Errors
    /// As [`deadline`].
    pub fn context(&self, headers: &HeaderMap) -> Result<Context> {
        Ok(Context::until(deadline(
            headers,
            self.request_timeout,
            self.longest_request,
        )?))
    }

    /// Reads the body of `request`: this is the only way to read one.
    ///
    /// # Errors
    /// [`Error::BodyTooLarge`], [`Error::InvalidBody`] when it breaks off, [`Error::DeadlineExceeded`] when it does not
    /// arrive in time, [`Error::QueueFull`] when all bodies under way leave no room.
    pub async fn read(&self, request: Request) -> Result<Received> {
        self.intake.receive(request).await
    }

    /// [`App::read`] of a body that must not be empty.
    ///
    /// # Errors
    /// [`Error::EmptyBody`], which says `what` to send; as [`App::read`].
    pub async fn read_some(&self, request: Request, what: &str) -> Result<Received> {
        let received = self.read(request).await?;
        if received.bytes.is_empty() {
            return Err(Error::EmptyBody(format!("the body is empty; send {what}")));
        }
        Ok(received)
    }
}
