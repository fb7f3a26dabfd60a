//! `lucarne predict` and `lucarne explain`: one request to the service itself, without a socket in between.

use std::path::{Path, PathBuf};

use axum::body::{Body, Bytes};
use axum::http::{Request, header};
use clap::Args;
use http_body_util::BodyExt;
use tower::ServiceExt;

use crate::app::Service;
use crate::config::Settings;
use crate::error::{Error, Result};
use crate::repository::Registry;

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
    /// How the map is made
    #[arg(long, default_value = "grad_cam")]
    method: String,
    /// A layer path, or several with commas between; `lucarne inspect` lists them
    #[arg(long)]
    layer: Option<String>,
    /// What is explained: a class id or a label, `box=x0,y0,x1,y1`, `word=3`, `mu[3]` …; see the README
    #[arg(long, alias = "class")]
    target: Option<String>,
}

impl Predict {
    pub(super) fn run(&self) -> Result<()> {
        let body = self.question.ask("predict", Vec::new(), "application/json")?;
        super::print(&String::from_utf8_lossy(&body))
    }
}

impl Explain {
    pub(super) fn run(&self) -> Result<()> {
        let accept = match self.output.extension().and_then(|e| e.to_str()) {
            Some("png") => "image/png",
            Some("npy") => "application/x-npy",
            Some("json") => "application/json",
            _ => {
                let output = self.output.display();
                let text = format!("--output {output}: give a file that ends in .png, .npy or .json");
                return Err(Error::InvalidSettings(text));
            }
        };
        let named = [
            ("method", Some(&self.method)),
            ("layer", self.layer.as_ref()),
            ("target", self.target.as_ref()),
        ];
        let params = named
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.clone())));
        let body = self.question.ask("explain", params.collect(), accept)?;
        std::fs::write(&self.output, &body)
            .map_err(|e| Error::InvalidSettings(format!("--output {}: {e}", self.output.display())))
    }
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

    fn ask(&self, operation: &str, mut params: Vec<(String, String)>, accept: &str) -> Result<Bytes> {
        for param in &self.params {
            let (name, value) = param.split_once('=').ok_or_else(|| {
                Error::InvalidSettings(format!("--param {param}: expected NAME=VALUE, such as top_k=3"))
            })?;
            params.push((name.to_owned(), value.to_owned()));
        }
        let image = std::fs::read(&self.image)
            .map_err(|e| Error::InvalidSettings(format!("{}: {e}", self.image.display())))?;
        let service = Service::of(Registry::of([self.folder()]), Settings::default())?;
        service.load_or_fail()?;
        let query = serde_urlencoded::to_string(&params).map_err(|e| Error::Internal(e.to_string()))?;
        let name = service.first_model();
        let request = Request::post(format!("/v1/models/{name}/{operation}?{query}"))
            .header(header::ACCEPT, accept)
            .body(Body::from(image))
            .map_err(|e| Error::Internal(e.to_string()))?;
        super::runtime()?.block_on(async move {
            let Ok(response) = service.router().oneshot(request).await;
            let (parts, body) = response.into_parts();
            let body = body
                .collect()
                .await
                .map_err(|e| Error::Internal(e.to_string()))?
                .to_bytes();
            if parts.status.is_success() {
                return Ok(body);
            }
            Err(Error::InvalidSettings(detail(&body)))
        })
    }
}

/// The words of a problem.
fn detail(problem: &[u8]) -> String {
    let json: serde_json::Value = serde_json::from_slice(problem).unwrap_or_default();
    let detail = json.get("detail").and_then(|d| d.as_str());
    detail.map_or_else(|| String::from_utf8_lossy(problem).into_owned(), str::to_owned)
}
