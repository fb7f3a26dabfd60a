//! From a request for inference, however it came, to the tensors that answer it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::answer::{Answer, chosen};
use super::predicted::{Tensors, predicted, without};
use super::request::{InferRequest, whole};
use super::{inputs, maps, signature};
use crate::catalog::{Model, Predict};
use crate::engine::Context;
use crate::engine::batcher::Priority;
use crate::error::{Error, Result, excerpt};
use crate::explain;
use crate::image::Taken;
use crate::manifest::TaskKind;
use crate::reading::Parameters;
use crate::service::{Asked, Originals, Service};
use crate::tasks::tensor::NamedTensor;
use crate::transport::Scope;

/// What a key must be for, to be answered this request.
pub(super) fn scope(asked: &InferRequest) -> Scope {
    let mut pairs = asked.parameters.pairs();
    match pairs.any(|(name, value)| name == "explain" && value != "false") {
        true => Scope::Explain,
        false => Scope::Predict,
    }
}

/// The context of a request that may say how long it waits, and before whom it goes.
pub(super) fn terms(parameters: &mut Parameters, context: &Context) -> Result<Context> {
    let mut context = context.clone();
    // As Triton has it: microseconds; 0 is the server's own limit.
    if let Some(timeout) = whole::<u64>(parameters, "timeout")?.filter(|timeout| *timeout > 0) {
        let wanted = Instant::now().checked_add(Duration::from_micros(timeout));
        context.deadline = match (context.deadline, wanted) {
            (Some(own), Some(wanted)) => Some(own.min(wanted)),
            (own, wanted) => own.or(wanted),
        };
    }
    if let Some(level) = whole(parameters, "priority")? {
        context.priority = Priority::level(level);
    }
    Ok(context)
}

/// Refuses what has nothing to change in tensors.
fn refuse_drawing(parameters: &Parameters) -> Result<()> {
    const OF_OTHER_FORMS: [&str; 5] = ["alpha", "attention", "colormap", "overlay", "render"];
    let mut names = parameters.pairs().map(|(name, _)| name);
    match names.find(|name| OF_OTHER_FORMS.contains(name)) {
        Some(name) => Err(Error::parameter(
            name,
            "the tensors of an answer have nothing of it; /v1/models/{name}/predict and /explain draw pictures",
        )),
        None => Ok(()),
    }
}

/// What of a request is wanted.
struct Wanted {
    prediction: bool,
    /// The method of an explanation.
    explanation: Option<Option<String>>,
}

impl Wanted {
    /// # Errors
    /// [`Error::InvalidParameter`] for an output that there is not.
    fn of(asked: &mut InferRequest, model: &Model) -> Result<Self> {
        let method = asked.parameters.take("explain");
        let explained = match method.as_deref() {
            None | Some("false") => None,
            Some("true") => Some(None),
            Some(method) => Some(Some(method.to_owned())),
        };
        let own: Vec<String> = signature::outputs(model)
            .into_iter()
            .map(|output| output.name)
            .collect();
        let is_map = |name: &str| maps::NAMES.contains(&name);
        for wanted in &asked.outputs {
            let is_known = own.contains(&wanted.name) || (explained.is_some() && is_map(&wanted.name));
            if !is_known {
                let text = match is_map(&wanted.name) {
                    true => "an explanation has it; say parameters.explain = \"grad_cam\"".to_owned(),
                    false => format!("no such output; the model answers {}", own.join(", ")),
                };
                return Err(Error::parameter(excerpt(&wanted.name), text));
            }
        }
        let names = || asked.outputs.iter().map(|output| output.name.as_str());
        let is_all = asked.outputs.is_empty();
        if explained.is_some() && !is_all && !names().any(is_map) {
            return Err(Error::parameter(
                "explain",
                format!(
                    "`outputs` names none of {}; add one, or leave `explain` out",
                    maps::NAMES.join(", ")
                ),
            ));
        }
        Ok(Self {
            prediction: explained.is_none() || is_all || names().any(|name| !is_map(name)),
            explanation: explained.filter(|_| is_all || names().any(is_map)),
        })
    }
}

/// An answer that is still to be written.
pub(super) struct Inferred {
    pub(super) answer: Answer,
    held: Vec<Taken>,
}

impl Inferred {
    /// The answer, with `bytes` more for what is written of it.
    ///
    /// # Errors
    /// As [`Service::hold`].
    pub(super) async fn holding(mut self, service: &Service, bytes: u64) -> Result<(Answer, Vec<Taken>)> {
        let own = self.held.iter().map(Taken::bytes).sum();
        self.held.push(service.hold(bytes, own).await?);
        Ok((self.answer, self.held))
    }
}

/// The inputs of a request, as the model's task takes them.
enum Given {
    Pictures(Asked),
    Tensors(Vec<NamedTensor>),
}

/// The tensors that answer a request; what they take is held with them.
pub(super) async fn inferred(
    service: &Service,
    model: &Arc<Model>,
    (mut asked, held): (InferRequest, Taken),
    context: &Context,
) -> Result<Inferred> {
    refuse_drawing(&asked.parameters)?;
    let wanted = Wanted::of(&mut asked, model)?;
    let tensors = std::mem::take(&mut asked.inputs);
    // Prepared pictures are copies, which live until they are computed.
    let copies = match model.spec.manifest.task {
        TaskKind::Tensor => 0,
        _ => tensors.iter().map(|tensor| tensor.single_size() as u64).sum(),
    };
    let copied = service.hold(copies, held.bytes()).await?;
    let given = match model.spec.manifest.task {
        TaskKind::Tensor => Given::Tensors(inputs::tensors(model, tensors)?),
        _ => Given::Pictures(inputs::pictures(model, tensors, service.limits().images)?),
    };
    let mut all = Tensors {
        tensors: Vec::new(),
        held: vec![held, copied],
    };
    let mut of_prediction = std::mem::take(&mut asked.parameters);
    let mut of_explanation = Parameters::default();
    if wanted.explanation.is_some() {
        std::mem::swap(&mut of_prediction, &mut of_explanation);
    } else if let Given::Pictures(Asked {
        reference: Some(_), ..
    }) = given
    {
        let text = "only an explanation compares with it; say parameters.explain = \"grad_cam\"";
        return Err(Error::parameter(signature::REFERENCE, text));
    }
    if wanted.prediction {
        let inputs = match &given {
            Given::Pictures(asked) => {
                predicted(service, model, asked.pictures.clone(), &of_prediction, context).await?
            }
            Given::Tensors(tensors) => {
                computed(service, model, (tensors.clone(), &of_prediction), context).await?
            }
        };
        all.extend(inputs);
    }
    if let Some(method) = wanted.explanation {
        if let Some(method) = method {
            of_explanation.add("method".into(), method)?;
        }
        all.extend(explained(service, model, (given, &of_explanation), context).await?);
    }
    let answer = Answer {
        model_name: model.name.clone(),
        model_version: model.version.clone(),
        outputs: chosen(all.tensors, (&asked.outputs, asked.is_binary), &model.spec)?,
        id: asked.id,
    };
    Ok(Inferred {
        answer,
        held: all.held,
    })
}

/// A prediction of a model of tensors.
async fn computed(
    service: &Service,
    model: &Arc<Model>,
    (tensors, parameters): (Vec<NamedTensor>, &Parameters),
    context: &Context,
) -> Result<Tensors> {
    without(parameters)?;
    let Predict::Tensor(engine) = &model.predict else {
        return Err(Error::Internal("tensors for a model of pictures".into()));
    };
    let done = service.compute(model, engine, tensors, context).await?;
    Tensors::of(service, done).await
}

async fn explained(
    service: &Service,
    model: &Arc<Model>,
    (given, parameters): (Given, &Parameters),
    context: &Context,
) -> Result<Tensors> {
    let options =
        explain::read(model.spec.manifest.task, parameters.pairs()).map_err(|error| match error {
            Error::InvalidParameter { name, message } if name == "method" => {
                Error::parameter("explain", message)
            }
            other => other,
        })?;
    let options = options.with_maps_alone()?;
    match given {
        Given::Tensors(tensors) => {
            let done = service.explain_tensors(model, tensors, options, context).await?;
            let held = service
                .hold(8 * done.explanation.map.data.len() as u64, 0)
                .await?;
            let tensors = service.pool().run(move |_| maps::of_tensors(done)).await?;
            Ok(Tensors {
                tensors,
                held: vec![held],
            })
        }
        Given::Pictures(asked) => {
            let asked = (asked, Originals::Dropped);
            let done = service.explain(model, asked, options, context).await?;
            let bytes = maps::cost(&done);
            let held = service.hold(bytes, 0).await?;
            let tensors = service.pool().run(move |_| maps::of_pictures(&done)).await?;
            Ok(Tensors {
                tensors,
                held: vec![held],
            })
        }
    }
}
