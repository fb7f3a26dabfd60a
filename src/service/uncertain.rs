//! How sure a classifier is: by the probabilities of all classes, and by whether its answer holds out in other views.

use std::sync::Arc;

use super::decode::{Originals, Pictures};
use super::predict::Predicted;
use super::state::Service;
use crate::catalog::Model;
use crate::engine::{Context, Engine};
use crate::error::{Error, Result, counted};
use crate::image::{ModelInput, VIEWS};
use crate::tasks::TicketOf;
use crate::tasks::classification::{Classify, Likelihood, Options, Prediction, Spread, Uncertainty};

/// What is asked about how sure a model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certainty {
    /// Nothing.
    Unasked,
    /// What its probabilities say.
    OfScores,
    /// Also what becomes of them in [`VIEWS`] views of each picture, each of which is an image of the request.
    OfViews,
}

impl Certainty {
    fn views(self) -> usize {
        match self {
            Self::OfViews => VIEWS,
            Self::Unasked | Self::OfScores => 1,
        }
    }
}

impl Service {
    /// [`Service::predict`] of a classifier, and how sure it is.
    ///
    /// # Errors
    /// As [`Service::predict`]; [`Error::UnsupportedForTask`] where how sure it is cannot be told; [`Error::InvalidBody`] where
    /// the views are more images than a request may have.
    pub async fn classify(
        &self,
        model: &Arc<Model>,
        engine: &Engine<TicketOf<Classify>>,
        pictures: Pictures,
        (options, asked): (&Options, Certainty),
        context: &Context,
    ) -> Result<Predicted<Prediction>> {
        let pictures = (pictures, Originals::Dropped);
        if asked == Certainty::Unasked {
            return self
                .predict::<Classify>(model, engine, pictures, options, context)
                .await;
        }
        let likelihood = Likelihood::of(&model.spec)?;
        let views = asked.views();
        let images = self.within_limits(pictures.0.count(), views)?;
        let looked = self.look_with(model, engine.admit(images)?, pictures).await?;
        let inputs = match asked {
            Certainty::OfViews => {
                let inputs = looked.inputs;
                let all = move |_: &_| Ok(inputs.iter().flat_map(ModelInput::views).collect());
                self.pool().run(all).await?
            }
            _ => looked.inputs,
        };
        let options = options.with_logits();
        let done = self.computed::<Classify>(
            model,
            engine,
            (looked.places, inputs),
            &options,
            (looked.took, context),
        );
        let done = done.await?;
        let told = |of_one: &[Prediction]| told(of_one, likelihood);
        Ok(Predicted {
            outputs: done.outputs.chunks(views).filter_map(told).collect(),
            pictures: looked.seen,
            ..done
        })
    }

    /// How many images so many pictures are, seen in so many views.
    fn within_limits(&self, pictures: usize, views: usize) -> Result<usize> {
        let (images, most) = (pictures.saturating_mul(views), self.limits().images);
        if views == 1 || images <= most {
            return Ok(images);
        }
        let pictures = counted(pictures, "picture");
        Err(Error::InvalidBody(format!(
            "{pictures} in {views} views each are {images} images, at most {most} in one request (max_images); send fewer pictures, or \
             leave `tta` out"
        )))
    }
}

/// The prediction of a picture, of which these are the views and the first is untouched.
fn told(views: &[Prediction], likelihood: Likelihood) -> Option<Prediction> {
    let odds: Vec<Vec<f64>> = views
        .iter()
        .map(|view| likelihood.log_probabilities(&view.logits))
        .collect();
    let first = views.first()?;
    let spread = if views.len() > 1 { Spread::of(&odds) } else { None };
    Some(Prediction {
        classes: first.classes.clone(),
        logits: Vec::new(),
        uncertainty: Some(Uncertainty {
            spread,
            ..Uncertainty::of(odds.first()?)
        }),
    })
}
