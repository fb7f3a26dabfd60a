//! Which versions of a model are loaded, and which of them answers.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::catalog::Listed;
use crate::manifest::Part;

/// The versions of a model that are loaded, and what stands beside the one that serves.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ServingInfo {
    /// The versions that are loaded, oldest first.
    #[schema(example = json!(["1"]))]
    loaded: Vec<String>,
    /// The version that each name stands for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    aliases: BTreeMap<String, String>,
    /// What answers a share of the requests that ask for no version.
    #[serde(skip_serializing_if = "Option::is_none")]
    canary: Option<PartInfo>,
    /// What computes a share of what the version that serves answers, to be compared with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    shadow: Option<PartInfo>,
}

/// A version and its share.
#[derive(Debug, Serialize, ToSchema)]
struct PartInfo {
    #[schema(example = "2")]
    version: String,
    /// From 0 to 1.
    #[schema(example = 0.1)]
    share: f64,
    /// Whether it is loaded: without that it gets nothing.
    loaded: bool,
    /// Why it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl From<&Listed> for ServingInfo {
    fn from(listed: &Listed) -> Self {
        let loaded: Vec<String> = listed.loaded.iter().map(|model| model.version.clone()).collect();
        let part = |part: &Part| PartInfo {
            version: part.version.clone(),
            share: part.share,
            loaded: loaded.contains(&part.version),
            error: listed.failures.get(&part.version).cloned(),
        };
        let rules = &listed.rules;
        Self {
            aliases: rules.aliases.clone(),
            canary: rules.canary.as_ref().map(part),
            shadow: rules.shadow.as_ref().map(part),
            loaded,
        }
    }
}
