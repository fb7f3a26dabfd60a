//! A key, and what it may be for.

use std::sync::Arc;

use serde::Deserialize;
use tokio::sync::Semaphore;

use super::rate::Rate;

/// What a key may be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Predictions, and what is told of models.
    Predict,
    /// Explanations.
    Explain,
    /// Loading and unloading.
    Admin,
    /// Metrics.
    Metrics,
    /// What every key is for: to be told what is served.
    #[serde(skip)]
    Listing,
}

impl Scope {
    /// Its name in the file and in tokens.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Predict => "predict",
            Self::Explain => "explain",
            Self::Admin => "admin",
            Self::Metrics => "metrics",
            Self::Listing => "listing",
        }
    }
}

/// A key that is known.
#[derive(Debug)]
pub(super) struct Key {
    /// For the log.
    pub(super) name: String,
    pub(super) scopes: Vec<Scope>,
    pub(super) rate: Option<Rate>,
    /// For its requests at one time.
    pub(super) places: Option<Arc<Semaphore>>,
}
