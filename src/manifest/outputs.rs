//! `[output]` of the tasks that answer neither classes nor words: their keys as types, their defaults and bounds.

use super::reader::Section;

/// `[output]` of an embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmbeddingOutput {
    /// Whether vectors are answered with the length 1.
    pub normalise: bool,
}

pub(super) fn embedding(s: &mut Section<'_>) -> EmbeddingOutput {
    EmbeddingOutput {
        normalise: s.optional("normalise", "true or false").unwrap_or(false),
    }
}
