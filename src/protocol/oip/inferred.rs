//! From a request for inference, however it came, to the tensors that answer it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::answer::{Answer, chosen, has_classes, size_of_classes, without_classes};
use super::predicted::{Tensors, predicted, without};
use super::request::{InferRequest, Requested, whole};
use super::tensor::Tensor;
use super::{inputs, maps, signature};
use crate::catalog::{Model, Predict};
use crate::engine::Context;
use crate::engine::batcher::Priority;
use crate::error::{Error, Result, excerpt};
use crate::explain::{self, Options};
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

/// The context of a request that may say how long it waits, and at what priority.
pub(super) fn terms(parameters: &mut Parameters, context: &Context, started: Instant) -> Result<Context> {
    let mut context = context.clone();
    // As Triton has it: microseconds; 0 is the server's own limit.
    if let Some(timeout) = whole::<u64>(parameters, "timeout")?.filter(|timeout| *timeout > 0) {
        let wanted = started.checked_add(Duration::from_micros(timeout));
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
        let own = signature::outputs(model);
        let is_map = |name: &str| maps::NAMES.contains(&name);
        for wanted in &asked.outputs {
            let found = own.iter().find(|output| output.name == wanted.name);
            if found.is_none() && !(explained.is_some() && is_map(&wanted.name)) {
                let text = match is_map(&wanted.name) {
                    true => "an explanation has it; say parameters.explain = \"grad_cam\"".to_owned(),
                    false => format!("no such output; the model answers {}", signature::names(&own)),
                };
                return Err(Error::parameter(excerpt(&wanted.name), text));
            }
            if wanted.classes.is_some() && found.is_none_or(|output| !has_classes(model, output)) {
                return Err(without_classes(&wanted.name));
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

impl Given {
    /// The inputs that `tensors` are, of a request that holds `own` bytes of memory; and what is held for copies of them, which
    /// live until they are computed.
    async fn of(
        service: &Service,
        model: &Arc<Model>,
        tensors: Vec<Tensor>,
        own: u64,
    ) -> Result<(Self, Taken)> {
        let is_of_tensors = model.spec.manifest.task == TaskKind::Tensor;
        let copies = match is_of_tensors {
            true => 0,
            false => tensors.iter().map(Tensor::size_as_pictures).sum(),
        };
        let held = service.hold(copies as u64, own).await?;
        let (reads, most) = (Arc::clone(model), service.limits().images);
        let read = move || match is_of_tensors {
            true => Ok(Self::Tensors(inputs::tensors(&reads, tensors)?)),
            false => Ok(Self::Pictures(inputs::pictures(&reads, tensors, most)?)),
        };
        Ok((service.pool().run_over(copies, read).await?, held))
    }

    /// The explanation of these inputs that `parameters` ask for, unless it is known to be refused.
    fn explained_by(
        &self,
        service: &Service,
        model: &Model,
        method: Option<String>,
        mut parameters: Parameters,
    ) -> Result<Options> {
        if let Some(method) = method {
            parameters.add("method".into(), method)?;
        }
        let options = explain::read(model.spec.manifest.task, parameters.pairs());
        let options = options.map_err(|error| match error {
            Error::InvalidParameter { name, message } if name == "method" => {
                Error::parameter("explain", message)
            }
            other => other,
        })?;
        let options = options.with_maps_alone()?;
        let (count, has_reference) = match self {
            Self::Pictures(asked) => (asked.pictures.count(), asked.reference.is_some()),
            Self::Tensors(_) => (1, false),
        };
        service.may_explain(model, &options, (count, has_reference))?;
        drop(model.explain.admit(count)?);
        Ok(options)
    }

    /// Refuses what only an explanation looks at.
    fn is_to_be_predicted(&self) -> Result<()> {
        match self {
            Self::Pictures(Asked {
                reference: Some(_), ..
            }) => Err(Error::parameter(
                signature::REFERENCE,
                "only an explanation compares with it; say parameters.explain = \"grad_cam\"",
            )),
            _ => Ok(()),
        }
    }
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
    let (given, copied) = Given::of(service, model, tensors, held.bytes()).await?;
    let mut parameters = std::mem::take(&mut asked.parameters);
    // Both halves are refused before one of them is computed.
    let options = match wanted.explanation {
        Some(method) => Some(given.explained_by(service, model, method, std::mem::take(&mut parameters))?),
        None => given.is_to_be_predicted().map(|()| None)?,
    };
    let mut all = Tensors {
        tensors: Vec::new(),
        held: vec![held, copied],
    };
    if wanted.prediction {
        let inputs = match &given {
            Given::Pictures(asked) => {
                predicted(service, model, asked.pictures.clone(), &parameters, context).await?
            }
            Given::Tensors(tensors) => {
                computed(service, model, (tensors.clone(), &parameters), context).await?
            }
        };
        all.extend(inputs);
    }
    if let Some(options) = options {
        let own = all.held.iter().map(Taken::bytes).sum();
        all.extend(explained(service, model, (given, options, own), context).await?);
    }
    let (outputs, held) = told(service, model, all, (asked.outputs, asked.is_binary)).await?;
    let answer = Answer {
        model_name: model.name.clone(),
        model_version: model.version.clone(),
        outputs,
        id: asked.id,
    };
    Ok(Inferred { answer, held })
}

/// Of `all` those that are `wanted`, and all memory that is held. Where the best classes are asked for, they are texts, of which
/// many are made on the pool.
async fn told(
    service: &Service,
    model: &Arc<Model>,
    Tensors { tensors, mut held }: Tensors,
    (wanted, is_binary): (Vec<Requested>, bool),
) -> Result<(Vec<(Tensor, bool)>, Vec<Taken>)> {
    let bytes = size_of_classes(&tensors, &wanted, &model.spec.labels);
    if bytes > 0 {
        let own = held.iter().map(Taken::bytes).sum();
        held.push(service.hold(bytes as u64, own).await?);
    }
    let model = Arc::clone(model);
    let choose = move || chosen(tensors, (&wanted, is_binary), &model.spec.labels);
    Ok((service.pool().run_over(bytes, choose).await?, held))
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

/// An explanation, for a request that holds `own` bytes of memory.
async fn explained(
    service: &Service,
    model: &Arc<Model>,
    (given, options, own): (Given, Options, u64),
    context: &Context,
) -> Result<Tensors> {
    match given {
        Given::Tensors(tensors) => {
            let done = service.explain_tensors(model, tensors, options, context).await?;
            let bytes = 8 * done.explanation.map.data.len() as u64;
            let held = service.hold(bytes, own).await?;
            Tensors::made(service, (bytes, [held]), move |_| maps::of_tensors(done)).await
        }
        Given::Pictures(asked) => {
            let asked = (asked, Originals::Dropped);
            let done = service.explain(model, asked, options, context).await?;
            let bytes = maps::cost(&done);
            let held = service.hold(bytes, own).await?;
            Tensors::made(service, (bytes, [held]), move |_| maps::of_pictures(&done)).await
        }
    }
}
