//! `lucarne predict` and `lucarne explain`: requests to the service itself, without a socket in between.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Args;

use super::batch;
use super::opened::{Opened, Which, file};
use super::output::print;
use crate::error::{Error, Result};
use crate::protocol::v1::Form;
use crate::reading::Parameters;

/// What both commands need.
#[derive(Debug, Args)]
struct Question {
    #[command(flatten)]
    which: Which,
    /// Image files, folders of them, or patterns such as 'photos/**/*.jpg'
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// A parameter of the request, such as `top_k=3`; may be given more than once
    #[arg(short, long = "param", value_name = "NAME=VALUE")]
    params: Vec<String>,
}

/// `lucarne predict`
#[derive(Debug, Args)]
pub(super) struct Predict {
    #[command(flatten)]
    question: Question,
    /// Where to write a record of each image; the ending picks the form: .jsonl or .csv. What stands there already is kept
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// `lucarne explain`
#[derive(Debug, Args)]
pub(super) struct Explain {
    #[command(flatten)]
    question: Question,
    /// Where to write; the ending picks the form: .png (overlay), .npy (raw map), .json. Of several images a folder, in which what
    /// stands there already is kept
    #[arg(short, long, value_name = "FILE|FOLDER")]
    output: PathBuf,
    /// In which form answers are written into a folder
    #[arg(long, value_name = "FORM", default_value = "png", value_parser = ["png", "npy", "json"])]
    form: String,
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
        let files = batch::expanded(&self.question.images)?;
        let opened = self.question.open(Vec::new(), None)?;
        match (&self.output, &files[..]) {
            (Some(output), files) => batch::predict(&opened, files, output),
            (None, [file]) => {
                let answer = opened.wait(opened.predicted(file, Form::Json))?;
                print(&String::from_utf8_lossy(&answer.bytes))
            }
            (None, files) => Err(Error::InvalidSettings(format!(
                "{} images: say with --output where their predictions go, such as out.jsonl or out.csv",
                files.len()
            ))),
        }
    }
}

impl Explain {
    pub(super) fn run(&self) -> Result<()> {
        let files = batch::expanded(&self.question.images)?;
        let of_ending = self.output.extension().and_then(|e| e.to_str()).and_then(form);
        let is_folder = self.output.is_dir() || (files.len() > 1 && of_ending.is_none());
        let wrong = |why: &str| {
            let output = self.output.display();
            Err(Error::InvalidSettings(format!("--output {output}: {why}")))
        };
        if !is_folder && of_ending.is_none() {
            return wrong("give a file that ends in .png, .npy or .json, or a folder");
        }
        if !is_folder && files.len() > 1 {
            return wrong("give a folder: there are several images");
        }
        let named = [
            ("method", self.method.as_ref()),
            ("layer", self.layer.as_ref()),
            ("target", self.target.as_ref()),
        ];
        let params = named
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.clone())));
        let reference = self.reference.as_deref().map(file).transpose()?;
        let opened = self.question.open(params.collect(), reference)?;
        let (of_ending, of_folder) = (
            of_ending.unwrap_or(Form::Png),
            form(&self.form).unwrap_or(Form::Png),
        );
        if is_folder {
            return batch::explain(&opened, &files, &self.output, (of_folder, &self.form));
        }
        let answer = opened.wait(opened.explained(&files[0], of_ending))?;
        std::fs::write(&self.output, &answer.bytes)
            .map_err(|e| Error::InvalidSettings(format!("--output {}: {e}", self.output.display())))
    }
}

/// The form of this name.
fn form(name: &str) -> Option<Form> {
    match name {
        "png" => Some(Form::Png),
        "npy" => Some(Form::Npy),
        "json" => Some(Form::Json),
        _ => None,
    }
}

/// The prediction of the model in `folder` for an image file, as JSON.
///
/// # Errors
/// Those of loading the model and of predicting.
pub(super) fn predicted(folder: &Path, image: &Path) -> Result<String> {
    let question = Question {
        which: Which {
            model: folder.to_string_lossy().into_owned(),
            models: PathBuf::new(),
        },
        images: Vec::new(),
        params: Vec::new(),
    };
    let opened = question.open(Vec::new(), None)?;
    let answer = opened.wait(opened.predicted(image, Form::Json))?;
    Ok(String::from_utf8_lossy(&answer.bytes).into_owned())
}

impl Question {
    /// The model, and what is asked of it about each image.
    fn open(&self, named: Vec<(String, String)>, reference: Option<Bytes>) -> Result<Opened> {
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
        self.which.open(parameters, reference)
    }
}
