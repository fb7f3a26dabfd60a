//! A small classifier in as many versions as a test wants, and the loader for it.

use std::path::Path;
use std::sync::Arc;

use lucarne::app::Server;
use lucarne::catalog::{Catalog, Loader, Model, Predict};
use lucarne::config::Settings;
use lucarne::engine::Context;
use lucarne::engine::cores::Cores;
use lucarne::engine::observer::Silent;
use lucarne::error::Result;
use lucarne::image::Picture;
use lucarne::runtime::process::configure_process;
use lucarne::runtime::{Formats, Native};
use lucarne::service::{Originals, Pictures};
use lucarne::tasks::bounds::at_least_one;
use lucarne::tasks::classification::{Classify, Options};
use lucarne::telemetry::Metrics;

use crate::support::{blocking, path, png};

/// (height, width) of its input.
const SIZE: (u32, u32) = (6, 8);

/// Its classes.
const CLASSES: usize = 3;

/// A folder `name` below `models` with these versions of the small classifier, each with labels that say its version.
pub fn write(models: &Path, name: &str, versions: &[&str]) {
    let folder = models.join(name);
    for version in versions {
        let of_version = folder.join(version);
        std::fs::create_dir_all(&of_version).expect("writable");
        std::fs::copy(
            path("tests/golden/closed_forms/pooled.pt"),
            of_version.join("model.pt"),
        )
        .expect("a copy");
        let labels: Vec<String> = (0..CLASSES).map(|class| label(version, class)).collect();
        std::fs::write(of_version.join("labels.txt"), labels.join("\n")).expect("writable");
    }
    let (height, width) = SIZE;
    let manifest = format!(
        "task = \"classification\"\n[input]\nsize = [{height}, {width}]\nresize = \"none\"\n[output]\nlabels = \"labels.txt\"\n"
    );
    std::fs::write(folder.join("model.toml"), manifest).expect("writable");
}

/// The label of a class in a version.
fn label(version: &str, class: usize) -> String {
    format!("class {class} of version {version}")
}

/// A picture of the size that it takes.
pub fn picture() -> Vec<u8> {
    let (height, width) = SIZE;
    let bytes = (0..height * width * 3).map(|i| (i * 37 % 251) as u8).collect();
    png(&Picture::new(width, height, bytes).expect("a picture"))
}

/// A server over `models` on `cores`, loaded; its artifacts are opened by `formats`.
pub fn server(models: &Path, cores: &Arc<Cores>, formats: Arc<dyn Formats>) -> Server {
    let server = unloaded(models, cores, formats);
    blocking(server.load_or_fail()).expect("every model is right");
    server
}

/// The same before anything is loaded.
pub fn unloaded(models: &Path, cores: &Arc<Cores>, formats: Arc<dyn Formats>) -> Server {
    configure_process();
    let loader = Loader::new(Arc::clone(cores), Box::new(|_, _, _| Arc::new(Silent))).with_formats(formats);
    let catalog = Catalog::scan(models, loader).expect("the folder can be read");
    Server::of(catalog, &Settings::default(), Arc::new(Metrics::new())).expect("right settings")
}

/// The same, loaded by the loaders of the program.
pub fn over(models: &Path) -> Server {
    server(models, &Cores::of_this_machine(), Arc::new(Native))
}

/// The labels that `model` answers for the picture, as they are sorted.
pub async fn labels(server: &Server, model: &Arc<Model>, picture: &[u8]) -> Result<Vec<String>> {
    let Predict::Classification(engine) = &model.predict else {
        panic!("a classifier")
    };
    let pictures = (
        Pictures::new(vec![picture.to_vec().into()], 1)?,
        Originals::Dropped,
    );
    let options = Options::best(at_least_one("top_k", CLASSES)?);
    let context = Context::default();
    let done = server
        .service()
        .predict::<Classify>(model, engine, pictures, &options, &context)
        .await?;
    let mut labels: Vec<String> = done.outputs[0]
        .classes
        .iter()
        .map(|class| class.label.clone())
        .collect();
    labels.sort();
    Ok(labels)
}

/// What a version answers.
pub fn of_version(version: &str) -> Vec<String> {
    (0..CLASSES).map(|class| label(version, class)).collect()
}
