//! One picture explained by several methods, and their maps beside each other.

use std::sync::Arc;

use super::decode::{Originals, Pictures};
use super::explain::{Asked, check};
use super::spent::Spent;
use super::state::Service;
use crate::catalog::Model;
use crate::engine::Context;
use crate::error::{Error, Result, counted};
use crate::explain::{Comparison, Made, Method, Options, Several, passes};
use crate::image::{Length, Placement};
use crate::manifest::TaskKind;

/// The maps of one picture by several methods.
#[derive(Debug)]
pub struct MethodsCompared {
    /// The model that was explained.
    pub model: Arc<Model>,
    /// Where the model's input lies on the picture.
    pub placement: Placement,
    /// One map a method, in the order that was asked for; at least one.
    pub made: Vec<Made>,
    /// The passes of each, as far as they were known beforehand.
    pub passes: Vec<usize>,
    /// Methods that the budget left no time for.
    pub skipped: Vec<Method>,
    /// How the maps compare.
    pub comparison: Comparison,
    /// What it cost.
    pub spent: Spent,
}

impl Service {
    /// Explains the one picture of `asked` by the method of each of `options`, and compares the maps.
    ///
    /// # Errors
    /// [`Error::UnsupportedForTask`] and [`Error::InvalidParameter`] for what the task, the labels or the limits rule out, before a
    /// place is taken; those of admission, of decoding, and of the computation.
    pub async fn compare_methods(
        &self,
        model: &Arc<Model>,
        Asked { pictures, reference }: Asked,
        options: Vec<Options>,
        context: &Context,
    ) -> Result<MethodsCompared> {
        let passes = self.passes_of_each(model, &options, &pictures, reference.is_some())?;
        let fit = &model.spec.manifest.image_input()?.fit;
        let places = model.explain.admit(1)?;
        let decoded = self.decode(pictures, fit, Originals::Dropped).await?;
        let reference = self.decode_reference(reference, fit).await?.map(Arc::new);
        let picture = decoded.images.into_iter().next();
        let picture = picture.ok_or_else(|| Error::EmptyBody("the body holds no image".into()))?;
        let placement = picture.input.placement;
        let methods: Vec<Method> = options.iter().map(|options| options.method).collect();
        let several = Several {
            picture: picture.input,
            options,
            reference,
        };
        let completed = model
            .explain
            .submit::<Several, Vec<Made>>(places, vec![several], context)
            .await?;
        let spent = Spent::new(decoded.took, &completed);
        let missing = || Error::Internal("a comparison without an answer".into());
        let made = completed.into_iter().next().ok_or_else(missing)?.output;
        let (width, height) = placement.input_size();
        let length = Length::of_pixels(u64::from(width) * u64::from(height) * methods.len() as u64);
        let compared = self.pool().run_for(length, move |_| {
            let comparison = Comparison::of(&made, &placement);
            Ok((made, comparison))
        });
        let (made, comparison) = compared.await?;
        Ok(MethodsCompared {
            model: Arc::clone(model),
            placement,
            skipped: methods.into_iter().skip(made.len()).collect(),
            made,
            passes,
            comparison,
            spent,
        })
    }

    /// The passes of each method, unless something is known to be wrong or too much without a look at the picture.
    fn passes_of_each(
        &self,
        model: &Model,
        options: &[Options],
        pictures: &Pictures,
        has_reference: bool,
    ) -> Result<Vec<usize>> {
        let task = model.spec.manifest.task;
        if task == TaskKind::Tensor {
            let text = format!(
                "methods are compared by their maps of pictures, and the model `{}` takes none",
                model.name
            );
            return Err(Error::UnsupportedForTask(text));
        }
        if pictures.count() != 1 {
            let found = counted(pictures.count(), "image");
            return Err(Error::InvalidBody(format!(
                "found {found}, expected one: methods are compared on one picture"
            )));
        }
        for options in options {
            check(model, options, has_reference)?;
        }
        let (height, width) = model.spec.manifest.image_input()?.fit.size;
        let size = (height as usize, width as usize);
        let of_each: Vec<usize> = options.iter().map(|options| passes(options, size, 1)).collect();
        let whole = of_each.iter().fold(0usize, |sum, more| sum.saturating_add(*more));
        self.allow_passes("methods", whole)?;
        Ok(of_each)
    }
}
