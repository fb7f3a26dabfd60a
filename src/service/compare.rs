//! How like two pictures are, by their embeddings.

use std::sync::Arc;

use super::decode::{Originals, Pictures};
use super::predict::Seen;
use super::spent::Spent;
use super::state::Service;
use crate::catalog::Model;
use crate::engine::Context;
use crate::error::{Error, Result, counted};
use crate::tasks::embedding::{Comparison, Embed};

/// Two pictures, compared.
#[derive(Debug)]
pub struct Compared {
    /// The model that answered.
    pub model: Arc<Model>,
    /// Both pictures, in their order.
    pub pictures: Vec<Seen>,
    /// How many numbers their vectors have.
    pub dimension: usize,
    /// Whether the vectors that were compared have the length 1.
    pub normalised: bool,
    /// How like they are.
    pub comparison: Comparison,
    /// What it cost.
    pub spent: Spent,
}

impl Service {
    /// How like two pictures are.
    ///
    /// # Errors
    /// [`Error::UnsupportedForTask`] when the model makes no embeddings, [`Error::InvalidBody`] when there are not two
    /// pictures, both before a place is taken; as [`Service::predict`].
    pub async fn compare(
        &self,
        model: &Arc<Model>,
        pictures: Pictures,
        context: &Context,
    ) -> Result<Compared> {
        let engine = model.embedding()?;
        let found = counted(pictures.count(), "image");
        let two = || Error::InvalidBody(format!("found {found}, expected two to compare"));
        if pictures.count() != 2 {
            return Err(two());
        }
        let asked = (pictures, Originals::Dropped);
        let done = self.predict::<Embed>(model, engine, asked, &(), context).await?;
        let [one, other] = &done.outputs[..] else {
            return Err(two());
        };
        Ok(Compared {
            dimension: one.vector.len(),
            normalised: one.normalised,
            comparison: one.compare(other)?,
            model: done.model,
            pictures: done.pictures,
            spent: done.spent,
        })
    }
}
