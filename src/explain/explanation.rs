//! What an explanation answers.

use super::evidence::Evidence;
use super::map::Map;
use super::method::Method;
use super::resolved::ResolvedTarget;
use super::sample::Completeness;
use crate::engine::context::Passes;

/// A saliency map and what it is of.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// How it was made.
    pub method: Method,
    /// Whether values below zero mean something.
    pub signed: bool,
    /// The layer whose activation was looked at, where the method looks at one; several with commas between, if fused.
    pub layer: Option<String>,
    /// What was explained.
    pub target: ResolvedTarget,
    /// The method's own result.
    pub map: Map,
    /// Why the map says nothing, if so.
    pub degeneracy: Option<&'static str>,
    /// Of integrated gradients: whether the attribution adds up.
    pub completeness: Option<Completeness>,
    /// Of methods of many passes: how many were made.
    pub passes: Option<Passes>,
    /// What a reader of the map should know of the method.
    pub caution: Option<&'static str>,
    /// How far it can be trusted, where that was asked for and the budget sufficed.
    pub evidence: Option<Evidence>,
    /// Whether it was asked for.
    pub is_judged: bool,
    /// Whether it was asked how the map depends on the weights.
    pub is_weighed: bool,
}

impl Explanation {
    /// Whether the budget ended before the method did.
    #[must_use]
    pub fn stopped_early(&self) -> bool {
        let weights = self
            .evidence
            .as_ref()
            .and_then(|evidence| evidence.weights.as_ref());
        let is_missing = self.is_judged && self.evidence.is_none() || self.is_weighed && weights.is_none();
        is_missing || self.passes.is_some_and(|passes| passes.done < passes.planned)
    }
}
