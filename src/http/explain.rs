//! `POST /v1/models/{name}/explain`, `GET …/layers` and `GET …/explainers`

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use utoipa::ToSchema;

use super::accept::{self, Form};
use super::body::{Call, JsonCall, MultipartCall, deadline};
use super::decode::{Needed, on_pool};
use super::npy::npy;
use super::openapi::Problems;
use super::predict::ImageSize;
use super::timing::TimingMs;
use super::{App, decode, events, within};
use crate::error::{Error, Result};
use crate::explain::render::{Look, show};
use crate::explain::{self, Answer, Explanation, Item, LayerMap, Listener, Manual, Options, Patience};
use crate::image::{self, Picture, Placement};
use crate::repository::Model;
use crate::repository::manifest::{Input, TaskKind};

/// The explanations for the images of one request: image by image, target by target, layer by layer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Explanations {
    #[schema(example = "mobilenet_v2")]
    model: String,
    #[schema(example = "1")]
    version: String,
    task: TaskKind,
    explanations: Vec<ImageExplanation>,
    timing_ms: TimingMs,
}

/// One map of one image.
#[derive(Debug, Serialize, ToSchema)]
struct ImageExplanation {
    /// Which of the request's images this is of, from 0.
    image_index: usize,
    image: ImageSize,
    #[serde(flatten)]
    explanation: Explanation,
    /// The picture under its heat, a PNG in base64; with `overlay=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    overlay_png_b64: Option<String>,
}

/// The layers of a model that a map can be asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LayerList {
    #[schema(example = "mobilenet_v2")]
    model: String,
    /// The layer that is looked at when none is asked for.
    #[schema(example = "features.18")]
    default: Option<String>,
    /// In the order of execution.
    layers: Vec<LayerMap>,
}

/// The methods that a model supports.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExplainerList {
    #[schema(example = "mobilenet_v2")]
    model: String,
    task: TaskKind,
    explainers: Vec<Manual>,
}

/// One image with all its maps.
struct Explained {
    picture: Option<Picture>,
    placement: Placement,
    explanations: Vec<Explanation>,
}

/// What is left of a request when its maps are made.
pub(super) struct Done {
    model: Arc<Model>,
    options: Options,
    images: Vec<Explained>,
    timing_ms: TimingMs,
}

/// Explain
///
/// Where did the model look? Answers raw saliency maps as JSON (with overlays if `overlay=true`), the overlay as
/// `image/png` (several maps in a grid), the raw map as `application/x-npy`, or progress and then the JSON as
/// `text/event-stream`, as `Accept` asks. Bodies as for predict.
#[utoipa::path(
    post, path = "/v1/models/{name}/explain", tag = "models",
    params(
        ("name" = String, Path, description = "The model", example = "mobilenet_v2"),
        Options,
        ("X-Request-Timeout-Ms" = Option<u32>, Header, description = "After this long, the answer is 504"),
    ),
    request_body(content(
        (Vec<u8> = "image/*"), (Vec<u8> = "application/octet-stream"),
        (MultipartCall = "multipart/form-data"), (JsonCall = "application/json"),
    )),
    responses(
        (status = OK, description = "One explanation an image, target and layer, in this order", content(
            (Explanations = "application/json"), (Vec<u8> = "image/png"), (Vec<u8> = "application/x-npy"),
            (String = "text/event-stream"),
        )),
        Problems,
    ),
)]
pub(super) async fn explain(
    State(app): State<App>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response> {
    let started = Instant::now();
    let model = app.registry.get(&name)?;
    let form = accept::choose(
        request.headers(),
        &[Form::Json, Form::Png, Form::Npy, Form::Events],
    )?;
    let deadline = deadline(request.headers(), app.settings.request_timeout())?;
    drop(model.explain.admit(1)?);
    within(deadline, async {
        let call = Call::read(&app, request).await?;
        let options: Options = call.parameters.read()?;
        options.validate()?;
        form.holds(call.images.len())?;
        let drawn = form == Form::Png || options.overlay;
        let asked = Asked {
            app: app.clone(),
            model,
            options,
            needed: if drawn { Needed::PictureToo } else { Needed::Tile },
            started,
            deadline,
        };
        if form == Form::Events {
            let work = |listener| async move {
                let (app, done) = (asked.app.clone(), asked.run(call, Some(listener)).await?);
                on_pool(&app, move || done.into_json()).await
            };
            return Ok(events::progress("explanation", deadline, work));
        }
        let done = asked.run(call, None).await?;
        on_pool(&app, move || done.answer(form)).await
    })
    .await
}

/// A request whose parameters are right.
struct Asked {
    app: App,
    model: Arc<Model>,
    options: Options,
    needed: Needed,
    started: Instant,
    deadline: Option<Instant>,
}

impl Asked {
    /// Makes the maps. They are no longer made when the future is dropped.
    async fn run(self, call: Call, listener: Option<Listener>) -> Result<Done> {
        let permit = self.model.explain.admit(call.images.len())?;
        let batch = decode::decode(
            &self.app,
            call.images,
            &self.model.subject.manifest.image_input()?.fit,
            self.needed,
        )
        .await?;
        drop(call.held);
        let waiting = Arc::new(());
        let patience = Patience {
            budget: self.options.budget_ms.map(Duration::from_millis),
            client: Some(Arc::downgrade(&waiting)),
            listener,
        };
        let mut pictures = Vec::new();
        let mut requests = Vec::new();
        for image in batch.images {
            pictures.push((image.picture, image.tile.placement));
            requests.push(explain::Request::Explain(Box::new(Item {
                tile: image.tile,
                ask: self.options.clone(),
                patience: patience.clone(),
            })));
        }
        drop(patience);
        let completed = self.model.explain.submit(permit, requests, self.deadline).await?;
        drop(waiting);
        let timing_ms = TimingMs::new(self.started, batch.took, &completed);
        let explained = |((picture, placement), answer)| match answer {
            Answer::Explanations(explanations) => Ok(Explained {
                picture,
                placement,
                explanations,
            }),
            _ => Err(Error::Internal("explanations were expected".into())),
        };
        let answers = completed.into_iter().map(|done| done.output);
        Ok(Done {
            images: pictures
                .into_iter()
                .zip(answers)
                .map(explained)
                .collect::<Result<_>>()?,
            model: self.model,
            options: self.options,
            timing_ms,
        })
    }
}

impl Explained {
    /// The maps as they were asked for; overlays are made of the raw ones.
    fn presented(&self, explanation: &Explanation, options: &Options) -> Explanation {
        let map = explanation.map.normalized(options.normalize);
        Explanation {
            map: map.resized(options.resolution, &self.placement),
            ..explanation.clone()
        }
    }

    fn png(&self, explanations: &[&Explanation], options: &Options) -> Result<Vec<u8>> {
        let look = Look {
            colormap: options.colormap,
            alpha: options.alpha,
            render: options.render,
        };
        let picture = self.picture.as_ref();
        let picture = picture.ok_or_else(|| Error::Internal("an overlay without its picture".into()))?;
        image::encode_png(&show(picture, explanations, &self.placement, look)?)
    }
}

impl Done {
    /// Wraps the maps in the form that was asked for. It draws and compresses, so it runs on the pool.
    fn answer(self, form: Form) -> Result<Response> {
        let none = || Error::Internal("a request without an image".into());
        let bytes = match form {
            Form::Json | Form::Events => return Ok(Json(self.into_json()?).into_response()),
            Form::Npy => {
                let image = self.images.first().ok_or_else(none)?;
                let maps: Vec<_> = image
                    .explanations
                    .iter()
                    .map(|e| image.presented(e, &self.options).map)
                    .collect();
                let [map] = &maps[..] else {
                    let text = format!(
                        "application/x-npy holds one map, and these are {}; ask for JSON",
                        maps.len()
                    );
                    return Err(Error::NotAcceptable(text));
                };
                npy(&map.shape, &map.data)?
            }
            Form::Png => {
                let image = self.images.first().ok_or_else(none)?;
                image.png(&image.explanations.iter().collect::<Vec<_>>(), &self.options)?
            }
        };
        Ok(([(header::CONTENT_TYPE, form.media_type())], bytes).into_response())
    }

    fn into_json(self) -> Result<Explanations> {
        let options = &self.options;
        let mut explanations = Vec::new();
        for (image_index, image) in self.images.iter().enumerate() {
            for explanation in &image.explanations {
                let png = options
                    .overlay
                    .then(|| image.png(&[explanation], options))
                    .transpose()?;
                explanations.push(ImageExplanation {
                    image_index,
                    image: (&image.placement).into(),
                    explanation: image.presented(explanation, options),
                    overlay_png_b64: png.map(|png| BASE64_STANDARD.encode(png)),
                });
            }
        }
        Ok(Explanations {
            explanations,
            model: self.model.name.clone(),
            version: self.model.version.clone(),
            task: self.model.subject.manifest.task,
            timing_ms: self.timing_ms,
        })
    }
}

/// Layers
///
/// Every layer path that a map can be asked for, with the shape of its output.
#[utoipa::path(
    get, path = "/v1/models/{name}/layers", tag = "models",
    params(("name" = String, Path, description = "The model", example = "mobilenet_v2")),
    responses((status = OK, description = "In the order of execution", body = LayerList), Problems),
)]
pub(super) async fn layers(State(app): State<App>, Path(name): Path<String>) -> Result<Json<LayerList>> {
    let model = app.registry.get(&name)?;
    let found = list_layers(&model).await?;
    Ok(Json(LayerList {
        model: model.name.clone(),
        default: found.default,
        layers: found.with_map,
    }))
}

async fn list_layers(model: &Model) -> Result<explain::Layers> {
    match ask(model, explain::Request::Layers).await? {
        Answer::Layers(layers) => Ok(layers),
        _ => Err(Error::Internal("no layers in the answer".into())),
    }
}

/// Explainers
///
/// The methods that this model supports, with their parameters and what they cost.
#[utoipa::path(
    get, path = "/v1/models/{name}/explainers", tag = "models",
    params(("name" = String, Path, description = "The model", example = "mobilenet_v2")),
    responses((status = OK, description = "Every method that has what it needs", body = ExplainerList), Problems),
)]
pub(super) async fn explainers(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<ExplainerList>> {
    let model = app.registry.get(&name)?;
    let task = model.subject.manifest.task;
    let layers = list_layers(&model).await?;
    let Answer::Abilities(methods) = ask(&model, explain::Request::Abilities).await? else {
        return Err(Error::Internal("no methods in the answer".into()));
    };
    let size = match &model.subject.manifest.input {
        Input::Image(input) => (input.fit.size.0 as usize, input.fit.size.1 as usize),
        Input::Tensors { .. } => (0, 0),
    };
    let manual = |method| explain::manual(method, task, size, &layers);
    Ok(Json(ExplainerList {
        model: model.name.clone(),
        task,
        explainers: methods.into_iter().map(manual).collect(),
    }))
}

/// Asks the explainer one thing that needs no image.
pub(super) async fn ask(model: &Model, request: explain::Request) -> Result<Answer> {
    let permit = model.explain.admit(1)?;
    let mut answers = model.explain.submit(permit, vec![request], None).await?;
    let answer = answers.pop().map(|done| done.output);
    answer.ok_or_else(|| Error::Internal("no answer".into()))
}
