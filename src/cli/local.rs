//! `lucarne predict` and `lucarne explain`: one request to the service itself, without a socket in between.

use std::path::{Path, PathBuf};
use std::time::Instant;

use bytes::Bytes;
use clap::Args;

use super::output::{print, runtime};
use crate::app::Server;
use crate::config::Settings;
use crate::engine::Context;
use crate::error::{Error, Result};
use crate::protocol::v1::{self, Answer, Form};
use crate::reading::Parameters;
use crate::service::{Asked, Pictures};

/// What both commands need.
#[derive(Debug, Args)]
struct Question {
    /// The model: a name in the folder of models, or a path to a model's folder
    model: String,
    /// An image file
    image: PathBuf,
    /// The folder of models
    #[arg(long, default_value = "models", env = "LUCARNE_MODELS", value_name = "DIR")]
    models: PathBuf,
    /// A parameter of the request, such as `top_k=3`; may be given more than once
    #[arg(short, long = "param", value_name = "NAME=VALUE")]
    params: Vec<String>,
}

/// `lucarne predict`
#[derive(Debug, Args)]
pub(super) struct Predict {
    #[command(flatten)]
    question: Question,
}

/// `lucarne explain`
#[derive(Debug, Args)]
pub(super) struct Explain {
    #[command(flatten)]
    question: Question,
    /// Where to write; the ending picks the form: .png (overlay), .npy (raw map), .json
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// How the map is made [default: grad_cam]
    #[arg(long)]
    method: Option<String>,
    /// A layer path, or several with commas between; `lucarne inspect` lists them
    #[arg(long)]
    layer: Option<String>,
    /// What is explained: a class id or a label, `box=x0,y0,x1,y1`, `word=3`, `mu[3]` …; see docs/explain.md
    #[arg(long, alias = "class")]
    target: Option<String>,
    /// Of an embedding: the image file that the other is compared with
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,
}

impl Predict {
    pub(super) fn run(&self) -> Result<()> {
        let answer = self.question.ask(&Operation::Predict, Vec::new(), Form::Json)?;
        print(&String::from_utf8_lossy(&answer.bytes))
    }
}

impl Explain {
    pub(super) fn run(&self) -> Result<()> {
        let form = match self.output.extension().and_then(|e| e.to_str()) {
            Some("png") => Form::Png,
            Some("npy") => Form::Npy,
            Some("json") => Form::Json,
            _ => {
                let output = self.output.display();
                let text = format!("--output {output}: give a file that ends in .png, .npy or .json");
                return Err(Error::InvalidSettings(text));
            }
        };
        let named = [
            ("method", self.method.as_ref()),
            ("layer", self.layer.as_ref()),
            ("target", self.target.as_ref()),
        ];
        let params = named
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.clone())));
        let reference = self.reference.as_deref().map(file).transpose()?;
        let operation = Operation::Explain { reference };
        let answer = self.question.ask(&operation, params.collect(), form)?;
        std::fs::write(&self.output, &answer.bytes)
            .map_err(|e| Error::InvalidSettings(format!("--output {}: {e}", self.output.display())))
    }
}

/// The prediction of the model in `folder` for an image file, as JSON.
///
/// # Errors
/// Those of loading the model and of predicting.
pub(super) fn predicted(folder: &Path, image: &Path) -> Result<String> {
    let question = Question {
        model: folder.to_string_lossy().into_owned(),
        image: image.to_owned(),
        models: PathBuf::new(),
        params: Vec::new(),
    };
    let answer = question.ask(&Operation::Predict, Vec::new(), Form::Json)?;
    Ok(String::from_utf8_lossy(&answer.bytes).into_owned())
}

/// What is asked.
#[derive(Debug)]
enum Operation {
    Predict,
    Explain {
        /// What an embedding is compared with.
        reference: Option<Bytes>,
    },
}

/// The bytes of an image file.
fn file(path: &Path) -> Result<Bytes> {
    let bytes =
        std::fs::read(path).map_err(|e| Error::InvalidSettings(format!("{}: {e}", path.display())))?;
    Ok(bytes.into())
}

impl Question {
    fn folder(&self) -> PathBuf {
        let as_path = Path::new(&self.model);
        let is_folder = as_path.join("model.toml").is_file();
        let folder = if is_folder {
            as_path.to_owned()
        } else {
            self.models.join(&self.model)
        };
        folder.canonicalize().unwrap_or(folder)
    }

    fn ask(&self, operation: &Operation, named: Vec<(String, String)>, form: Form) -> Result<Answer> {
        let mut parameters = Parameters::default();
        for (name, value) in named {
            parameters.add(name, value)?;
        }
        for param in &self.params {
            let (name, value) = param.split_once('=').ok_or_else(|| {
                Error::InvalidSettings(format!("--param {param}: expected NAME=VALUE, such as top_k=3"))
            })?;
            parameters.add(name.to_owned(), value.to_owned())?;
        }
        let pictures = Pictures::new(vec![file(&self.image)?], 1)?;
        let folder = self.folder();
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
        let server = Server::of_model(folder, &Settings::default())?;
        runtime()?.block_on(async {
            server.load_or_fail().await?;
            let (service, context, started) = (server.service(), Context::default(), Instant::now());
            let model = service.model(&name.unwrap_or_default())?;
            match operation {
                Operation::Predict => {
                    let asked = (pictures, &parameters, form);
                    v1::predicted(service, &model, asked, &context, started).await
                }
                Operation::Explain { reference } => {
                    let reference = reference.clone();
                    let asked = (Asked { pictures, reference }, &parameters, form);
                    v1::explained(service, &model, asked, &context, started).await
                }
            }
        })
    }
}
