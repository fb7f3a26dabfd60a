//! Which model a path names.

use std::sync::Arc;

use axum::http::HeaderMap;
use serde::Deserialize;

use crate::catalog::Model;
use crate::engine::Context;
use crate::error::Result;
use crate::service::Service;
use crate::transport::App;

/// A model, perhaps in a version that is loaded.
#[derive(Debug, Deserialize)]
pub(super) struct Target {
    pub(super) name: String,
    #[serde(default)]
    pub(super) version: Option<String>,
}

impl Target {
    /// The model that answers.
    ///
    /// # Errors
    /// [`Error::ModelNotFound`](crate::error::Error::ModelNotFound), [`Error::NotReady`](crate::error::Error::NotReady).
    pub(super) fn model(&self, service: &Service) -> Result<Arc<Model>> {
        service.version(&self.name, self.version.as_deref())
    }

    /// The model that answers, which is loaded first if it rests: a client that asks what it takes is about to ask it.
    ///
    /// # Errors
    /// As [`Target::model`].
    pub(super) async fn described(&self, service: &Service) -> Result<Arc<Model>> {
        service
            .catalog()
            .described(&self.name, self.version.as_deref())
            .await
    }

    /// The model that answers a request with these headers and this context.
    ///
    /// # Errors
    /// As [`App::answering`].
    pub(super) async fn answering(
        &self,
        app: &App,
        headers: &HeaderMap,
        context: &Context,
    ) -> Result<Arc<Model>> {
        let named = (self.name.as_str(), self.version.as_deref());
        app.answering_within(context, headers, named).await
    }
}
