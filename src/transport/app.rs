//! What every handler may use.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue};

use super::body::{Intake, Received};
use super::deadline::{deadline, within};
use super::hosts::Hosts;
use super::key::Scope;
use super::keys::Keys;
use super::open::Listener;
use super::tokens::Issuer;
use crate::catalog::{Model, Wanted};
use crate::config::Settings;
use crate::engine::Context;
use crate::error::{Error, Result};
use crate::service::Service;
use crate::spans;

/// The header whose requests of one value all go to the same version of a model.
pub const ROUTING_HEADER: &str = "X-Routing-Key";

/// The state of every route: the use cases, and what bounds and admits requests. Clones share everything.
#[derive(Debug, Clone)]
pub struct App {
    /// The use cases.
    pub service: Service,
    /// Reads bodies.
    intake: Arc<Intake>,
    keys: Arc<Keys>,
    hosts: Arc<Hosts>,
    has_operations: bool,
    /// Origins that browsers may call from.
    pub(super) cors_origins: Arc<[String]>,
    request_timeout: Option<Duration>,
    longest_request: Duration,
}

impl App {
    /// The service behind these settings.
    ///
    /// # Errors
    /// [`Error::InvalidSettings`] for a file of keys that is wrong.
    pub fn new(service: Service, settings: &Settings) -> Result<Self> {
        Ok(Self {
            service,
            keys: Arc::new(Keys::read(settings.keys_file.as_deref(), Issuer::of(settings))?),
            hosts: Arc::new(Hosts::new(settings)),
            has_operations: settings.operations.is_some(),
            intake: Arc::new(Intake::new(settings)),
            cors_origins: settings.cors_origins.clone().into(),
            request_timeout: settings.request_timeout(),
            longest_request: Duration::from_millis(settings.max_request_timeout_ms),
        })
    }

    /// What clients may do.
    #[must_use]
    pub fn keys(&self) -> &Arc<Keys> {
        &self.keys
    }

    /// Whether what is for `scope` is answered to clients that come in at `listener`.
    ///
    /// # Errors
    /// [`Error::Forbidden`], which says where it is.
    pub(super) fn is_answered(&self, scope: Option<Scope>, listener: Listener) -> Result<()> {
        let is_of_operators = matches!(scope, Some(Scope::Admin | Scope::Metrics));
        match listener {
            Listener::Public if self.has_operations && is_of_operators => Err(Error::Forbidden(
                "this is answered at the address for operators alone (operations)".into(),
            )),
            Listener::Operations if matches!(scope, Some(Scope::Predict | Scope::Explain)) => Err(Error::Forbidden(
                "this is the address for operators, which answers health, metrics, loading and unloading alone".into(),
            )),
            Listener::Public | Listener::Operations => Ok(()),
        }
    }

    /// Under which names the server may be called.
    pub(super) fn hosts(&self) -> &Hosts {
        &self.hosts
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

    /// The model that answers a request with these headers for `name`: its `version` where one is asked for, else the one
    /// that serves, or the canary for its share. One that rests is loaded first. With it, the context of the request, whose
    /// clock began before that.
    ///
    /// # Errors
    /// [`Error::ModelNotFound`]; [`Error::NotReady`] while it loads or when it cannot; [`Error::DeadlineExceeded`];
    /// [`Error::InvalidParameter`] where [`ROUTING_HEADER`] comes twice; as [`App::context`].
    pub async fn answering(
        &self,
        headers: &HeaderMap,
        name: &str,
        version: Option<&str>,
    ) -> Result<(Arc<Model>, Context)> {
        let context = self.context(headers)?;
        let model = self.answering_within(&context, headers, (name, version)).await?;
        Ok((model, context))
    }

    /// [`App::answering`] of a request that has a context.
    ///
    /// # Errors
    /// As [`App::answering`].
    pub async fn answering_within(
        &self,
        context: &Context,
        headers: &HeaderMap,
        (name, version): (&str, Option<&str>),
    ) -> Result<Arc<Model>> {
        let mut keys = headers.get_all(ROUTING_HEADER).iter();
        let (key, other) = (keys.next(), keys.next());
        if other.is_some() {
            return Err(Error::parameter(
                ROUTING_HEADER,
                "found it twice, expected it once",
            ));
        }
        let wanted = Wanted {
            version,
            key: key.map(HeaderValue::as_bytes),
        };
        let model = within(context, self.service.catalog().answering(name, wanted)).await?;
        spans::is_of_model(&model.name, &model.version);
        Ok(model)
    }

    /// What reads the parts of bodies.
    pub(super) fn intake(&self) -> &Intake {
        &self.intake
    }

    /// Reads the body of `request`: this is the only way to read one, but for the messages of gRPC, which it reads as well.
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
