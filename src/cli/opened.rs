//! A model that was loaded to be asked about images, without a server.

use std::io::Read as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use clap::Args;
use sha2::{Digest, Sha256};
use tokio::runtime::Runtime;

use super::output::runtime;
use crate::app::Server;
use crate::catalog::{Model, Predict};
use crate::config::Settings;
use crate::engine::Context;
use crate::error::{Error, Result};
use crate::manifest;
use crate::protocol::v1::{self, Answer, Form};
use crate::reading::Parameters;
use crate::service::{Asked, MaskForm, MaskQuestion, Originals, Pictures, Predicted};
use crate::tasks::classification::{self, Classify};
use crate::tasks::{detection, segmentation};

/// Which model is meant.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// The model: a name in the folder of models, or a path to a model's folder
    pub(super) model: String,
    /// The folder of models
    #[arg(long, default_value = "models", env = "LUCARNE_MODELS", value_name = "DIR")]
    pub(super) models: PathBuf,
}

impl Which {
    /// Its folder.
    pub(super) fn folder(&self) -> PathBuf {
        let as_path = Path::new(&self.model);
        let is_folder = as_path.join("model.toml").is_file();
        let folder = if is_folder {
            as_path.to_owned()
        } else {
            self.models.join(&self.model)
        };
        folder.canonicalize().unwrap_or(folder)
    }

    /// The model, and what is asked of it about each image.
    pub(super) fn open(&self, parameters: Parameters, reference: Option<Bytes>) -> Result<Opened> {
        let folder = self.folder();
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
        let server = Server::of_model(folder, &Settings::default())?;
        let runtime = runtime()?;
        runtime.block_on(server.load_or_fail())?;
        let model = server.service().model(&name.unwrap_or_default())?;
        Ok(Opened {
            runtime,
            server,
            model,
            parameters,
            reference,
        })
    }
}

/// A loaded model, with the runtime and the server that keep it up and the parameters of every question.
pub(super) struct Opened {
    pub(super) runtime: Runtime,
    pub(super) server: Server,
    pub(super) model: Arc<Model>,
    pub(super) parameters: Parameters,
    /// What an embedding is compared with.
    pub(super) reference: Option<Bytes>,
}

impl Opened {
    /// The model, its version and what is asked of it, in a line.
    pub(super) fn question(&self) -> String {
        let asked = self
            .parameters
            .pairs()
            .map(|(name, value)| format!(" {name}={value}"));
        let reference = self.reference.as_ref();
        let reference = reference.map(|file| format!(" reference={:x}", Sha256::digest(file)));
        format!(
            "{} {}{}{}",
            self.model.name,
            self.model.version,
            asked.collect::<String>(),
            reference.unwrap_or_default()
        )
        .replace(['\n', '\r'], " ")
    }

    /// Waits for `work`.
    pub(super) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Requests at one time: enough for full batches, and no more than there are places.
    pub(super) fn batches(&self) -> usize {
        const SIDE_BY_SIDE: usize = 32;
        SIDE_BY_SIDE.min(self.model.spec.manifest.batching.queue_capacity)
    }

    /// The same where each is of a whole batch: pictures in one, and requests at one time.
    pub(super) fn whole_batches(&self) -> (usize, usize) {
        /// Two that are computed, and as many that are decoded meanwhile.
        const AT_LEAST: usize = 4;
        let batching = &self.model.spec.manifest.batching;
        let size = batching.max_batch_size.min(batching.queue_capacity).max(1);
        let wanted = self.batches().div_ceil(size).max(AT_LEAST);
        (size, wanted.min(batching.queue_capacity / size))
    }

    /// The prediction for an image file.
    pub(super) async fn predicted(&self, image: &Path, form: Form) -> Result<Answer> {
        self.predicted_as(image, &self.parameters, form).await
    }

    /// The same with other parameters.
    pub(super) async fn predicted_as(
        &self,
        image: &Path,
        parameters: &Parameters,
        form: Form,
    ) -> Result<Answer> {
        let asked = (picture(image)?, parameters, form);
        self.of_pictures(asked, &Context::default()).await
    }

    /// The predictions for image files, in one answer and in batches of their own.
    pub(super) async fn predicted_apart(&self, images: &[PathBuf]) -> Result<Answer> {
        let files = images.iter().map(|image| file(image)).collect::<Result<_>>()?;
        let pictures = Pictures::new(files, images.len())?;
        let context = Context {
            apart: true,
            ..Context::default()
        };
        self.of_pictures((pictures, &self.parameters, Form::Json), &context)
            .await
    }

    async fn of_pictures(&self, asked: (Pictures, &Parameters, Form), context: &Context) -> Result<Answer> {
        let service = self.server.service();
        v1::predicted(service, &self.model, asked, context, Instant::now()).await
    }

    /// The explanation of an image file.
    pub(super) async fn explained(&self, image: &Path, form: Form) -> Result<Answer> {
        self.explained_as(image, &self.parameters, form).await
    }

    /// The same with other parameters.
    pub(super) async fn explained_as(
        &self,
        image: &Path,
        parameters: &Parameters,
        form: Form,
    ) -> Result<Answer> {
        let pictures = picture(image)?;
        let reference = self.reference.clone();
        let asked = (Asked { pictures, reference }, parameters, form);
        v1::explained(
            self.server.service(),
            &self.model,
            asked,
            &Context::default(),
            Instant::now(),
        )
        .await
    }

    /// The best classes of an image file, with the logits of all.
    pub(super) async fn classified(&self, image: &Path) -> Result<classification::Prediction> {
        let Predict::Classification(engine) = &self.model.predict else {
            return Err(self.other_task("classifiers"));
        };
        let best = NonZeroUsize::new(5).unwrap_or(NonZeroUsize::MIN);
        let options = classification::Options::best(best).with_logits();
        let pictures = (picture(image)?, Originals::Dropped);
        let (service, context) = (self.server.service(), Context::default());
        let done = service.predict::<Classify>(&self.model, engine, pictures, &options, &context);
        only(done.await?)
    }

    /// The objects of an image file.
    pub(super) async fn detected(
        &self,
        image: &Path,
        options: &detection::Options,
    ) -> Result<detection::Prediction> {
        let Predict::Detection(engine) = &self.model.predict else {
            return Err(self.other_task("detectors"));
        };
        let pictures = (picture(image)?, Originals::Dropped);
        let (service, context) = (self.server.service(), Context::default());
        let done = service.detect(&self.model, engine, pictures, options, &context);
        only(done.await?)
    }

    /// The class of each pixel of an image file.
    pub(super) async fn segmented(&self, image: &Path) -> Result<segmentation::Prediction> {
        let Predict::Segmentation(engine) = &self.model.predict else {
            return Err(self.other_task("segmenters"));
        };
        let pictures = (picture(image)?, Originals::Dropped);
        let (service, context) = (self.server.service(), Context::default());
        let asked = MaskQuestion::plain(MaskForm::Array);
        let done = service.segment(&self.model, engine, pictures, asked, &context);
        only(done.await?)
    }

    fn other_task(&self, wanted: &str) -> Error {
        let task = self.model.spec.manifest.task;
        Error::UnsupportedForTask(format!("this is for {wanted}; the model is for {task}"))
    }
}

/// The output of the one picture that was asked about.
fn only<O>(done: Predicted<O>) -> Result<O> {
    let first = done.outputs.into_iter().next();
    first.ok_or_else(|| Error::Internal("no output of a picture".into()))
}

/// An image file, alone.
fn picture(image: &Path) -> Result<Pictures> {
    Pictures::new(vec![file(image)?], 1)
}

/// The bytes of an image file.
pub(super) fn file(path: &Path) -> Result<Bytes> {
    let wrong = |e: std::io::Error| Error::InvalidSettings(format!("{}: {e}", path.display()));
    let mut bytes = Vec::new();
    // A pipe that nobody writes to would be waited for.
    manifest::open(path)
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .map_err(wrong)?;
    Ok(bytes.into())
}
