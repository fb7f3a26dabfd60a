//! The parameters that ask how sure a model is, beside those of its task.

use serde::Deserialize;
use utoipa::IntoParams;

use crate::error::{Error, Result};
use crate::manifest::TaskKind;
use crate::reading::parameters::Parameters;
use crate::service::Certainty;

/// Parameters that ask how sure a model is.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct Uncertain {
    /// Whether it is told how sure the model is: of classifiers entropy and margin, of segmenters the mean entropy of a pixel.
    #[param(required = false, default = false)]
    uncertainty: bool,
    /// Of classifiers, with `uncertainty`: whether each picture is also looked at mirrored and shifted. Its 6 views count as 6 images.
    #[param(required = false, default = false)]
    tta: bool,
}

/// Takes what is asked about how sure a model of `task` is out of `parameters`.
///
/// # Errors
/// [`Error::InvalidParameter`]; [`Error::UnsupportedForTask`] where a task cannot tell.
pub fn uncertain(parameters: &mut Parameters, task: TaskKind) -> Result<Certainty> {
    let mut own = Parameters::default();
    for name in ["uncertainty", "tta"] {
        if let Some(value) = parameters.take(name) {
            own.add(name.to_owned(), value)?;
        }
    }
    let asked: Uncertain = own.read()?;
    if own == Parameters::default() {
        return Ok(Certainty::Unasked);
    }
    match task {
        TaskKind::Classification | TaskKind::Segmentation => {}
        TaskKind::Detection => {
            return refused(
                "`uncertainty` is of classifiers and segmenters; of a detection the score of each object says how sure it is",
            );
        }
        task => {
            return refused(&format!(
                "`uncertainty` is of classifiers and segmenters; this model is for {task}"
            ));
        }
    }
    match (asked.uncertainty, asked.tta) {
        (_, true) if task != TaskKind::Classification => {
            refused("`tta` is of classifiers: it looks whether the first class of a picture stays")
        }
        (false, true) => Err(Error::parameter(
            "tta",
            "it is a part of what `uncertainty` tells; ask for uncertainty=true as well",
        )),
        (false, false) => Ok(Certainty::Unasked),
        (true, false) => Ok(Certainty::OfScores),
        (true, true) => Ok(Certainty::OfViews),
    }
}

fn refused(why: &str) -> Result<Certainty> {
    Err(Error::UnsupportedForTask(why.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_taken_out_and_refused_where_it_cannot_be_told() {
        let of = |query: &str, task| {
            let mut parameters = Parameters::from_query(Some(query)).expect("a query");
            let asked = uncertain(&mut parameters, task).map_err(|e| e.code());
            (asked, parameters.pairs().count())
        };
        use TaskKind::{Classification, Detection, Segmentation};
        assert_eq!(of("top_k=2", Detection), (Ok(Certainty::Unasked), 1));
        assert_eq!(
            of("uncertainty=true&top_k=2", Classification),
            (Ok(Certainty::OfScores), 1)
        );
        assert_eq!(
            of("uncertainty=true&tta=true", Classification),
            (Ok(Certainty::OfViews), 0)
        );
        assert_eq!(of("uncertainty=true", Segmentation).0, Ok(Certainty::OfScores));
        assert_eq!(of("tta=true", Classification).0, Err("invalid_parameter"));
        assert_eq!(
            of("uncertainty=maybe", Classification).0,
            Err("invalid_parameter")
        );
        assert_eq!(
            of("uncertainty=true&tta=true", Segmentation).0,
            Err("unsupported_for_task")
        );
        assert_eq!(of("uncertainty=true", Detection).0, Err("unsupported_for_task"));
    }
}
