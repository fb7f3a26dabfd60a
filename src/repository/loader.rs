//! From a model's folder to a model that answers: manifest, artifact, labels, contract, engines, warm-up.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use torch_bridge::Module;

use super::digest;
use super::manifest::{self, ArtifactFormat, Manifest, Precision, Version};
use crate::engine::batcher::Policy;
use crate::engine::observer::Observer;
use crate::engine::session::{Session, configure_thread, configure_thread_on};
use crate::engine::turns::Turns;
use crate::engine::{Engine, Setup, Share, device};
use crate::error::{Error, Result};
use crate::explain::{self, Explainer, Origin};
use crate::tasks::{self, Labels, Predictor, Subject};

/// A model that is served.
#[derive(Debug)]
pub struct Model {
    /// The folder's name.
    pub name: String,
    /// The version that answers.
    pub version: String,
    /// Every version on disk, oldest first.
    pub versions: Vec<String>,
    /// What it is and how it is fed.
    pub subject: Arc<Subject>,
    /// Where it computes.
    pub device: String,
    /// Threads of each instance.
    pub threads: usize,
    /// Parameters and buffers.
    pub parameters: u64,
    /// Predictions.
    pub predict: Engine<tasks::Item, tasks::Prediction>,
    /// Explanations, on a queue and a thread of their own.
    pub explain: Engine<explain::Request, explain::Answer>,
}

/// Which of a model's two queues an observer listens to.
type ObserverOf = dyn Fn(&str, &'static str) -> Arc<dyn Observer> + Send + Sync;

/// Loads models; all of them share the cores.
pub struct Loader {
    turns: Arc<Turns>,
    observer: Box<ObserverOf>,
}

impl std::fmt::Debug for Loader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loader")
            .field("cores", &self.turns.cores())
            .finish_non_exhaustive()
    }
}

impl Loader {
    /// A loader whose models report to `observer(model, queue)`.
    #[must_use]
    pub fn new(turns: Arc<Turns>, observer: Box<ObserverOf>) -> Self {
        Self { turns, observer }
    }

    /// Loads the newest version of the model in `dir`, and warms it up.
    ///
    /// # Errors
    /// [`Error::InvalidModel`] with file, key and cure; [`Error::NotReady`] when its device is missing.
    pub fn load(&self, dir: &Path) -> Result<Model> {
        let started = Instant::now();
        let name = model_name(dir)?;
        let manifest = Manifest::read(dir)?;
        let versions = manifest::versions(dir, &manifest.artifact)?;
        let version = versions.last().expect("versions() answers at least one").clone();
        let labels = labels(dir, &manifest, &version)?;
        let subject = Arc::new(Subject::new(manifest, labels));
        let model = self.start(&name, subject, &version, &versions)?;
        // Freezing and checking took more than serving will.
        torch_bridge::release_unused();
        let load_ms = started.elapsed().as_millis();
        tracing::info!(
            model = name,
            version = version.name,
            device = model.device,
            load_ms,
            "model is ready"
        );
        Ok(model)
    }

    fn start(
        &self,
        name: &str,
        subject: Arc<Subject>,
        version: &Version,
        versions: &[Version],
    ) -> Result<Model> {
        let manifest = &subject.manifest;
        let devices = device::place(manifest.instances.device, manifest.instances.count)?;
        let threads = self.threads(manifest, &devices);
        if let Some(sha256) = &manifest.artifact.sha256 {
            digest::verify(&version.file, sha256)?;
        }
        let opened = device::each(&devices, |device| open(&version.file, device, threads, &subject))
            .map_err(|e| in_file(&version.file, e))?;
        let first = &opened[&device::name(devices[0])];
        let origin = Origin {
            file: version.file.clone(),
            session: first.session.clone(),
            device: devices[0],
            // As many as an instance: a pass that asked for more would hold cores idle until all of them are free.
            threads,
            turns: Arc::clone(&self.turns),
        };
        let parameters = first.parameters;
        let its_subject = Arc::clone(&subject);
        let predict = Engine::start(&self.predict_setup(name, manifest, &devices, threads), {
            let devices = devices.clone();
            move |index| {
                configure_thread_on(devices[index], threads)?;
                let session = &opened[&device::name(devices[index])].session;
                Predictor::new(session.clone(), Arc::clone(&its_subject))
            }
        });
        let its_subject = Arc::clone(&subject);
        let explain = Engine::start(&self.explain_setup(name, manifest), move |_| {
            Explainer::new(origin.clone(), Arc::clone(&its_subject))
        })?;
        Ok(Model {
            name: name.to_owned(),
            version: version.name.clone(),
            versions: versions.iter().map(|v| v.name.clone()).collect(),
            subject,
            device: device::names(&devices),
            threads,
            parameters,
            predict: predict.map_err(|e| in_file(&version.file, e))?,
            explain,
        })
    }

    /// Threads of each instance. Beside a GPU one is enough: it only hands over work.
    fn threads(&self, manifest: &Manifest, devices: &[tch::Device]) -> usize {
        let asked = match (manifest.instances.threads, devices[0]) {
            (0, tch::Device::Cuda(_)) => 1,
            (asked, _) => asked,
        };
        device::threads_each(asked, devices.len(), self.turns.cores())
    }

    fn predict_setup(
        &self,
        name: &str,
        manifest: &Manifest,
        devices: &[tch::Device],
        threads: usize,
    ) -> Setup {
        // A thread that waits for a GPU leaves the cores to others.
        let share = (!devices[0].is_cuda()).then(|| Share {
            turns: Arc::clone(&self.turns),
            cores: threads,
        });
        Setup {
            name: name.to_owned(),
            policy: Policy {
                max_batch: manifest.batching.max_batch_size,
                max_delay: manifest.batching.max_delay,
                capacity: manifest.batching.queue_capacity,
            },
            workers: devices.len(),
            share,
            observer: (self.observer)(name, "predict"),
        }
    }

    fn explain_setup(&self, name: &str, manifest: &Manifest) -> Setup {
        Setup {
            name: format!("{name}:explain"),
            policy: Policy {
                max_batch: 1,
                max_delay: Duration::ZERO,
                capacity: manifest.explain.queue_capacity,
            },
            workers: 1,
            share: None,
            observer: (self.observer)(name, "explain"),
        }
    }
}

/// A model without a server around it.
#[derive(Debug)]
pub struct Opened {
    /// What predicts.
    pub session: Session,
    /// Parameters and buffers.
    pub parameters: u64,
}

/// Loads the artifact, checks what can be seen without running it, and makes what predicts: the module frozen and, where
/// it can be, compiled for its batch sizes and for instances of `threads`; or its packages.
///
/// # Errors
/// [`Error::InvalidModel`], or [`Error::InferenceFailed`] with libtorch's words.
pub fn open(file: &Path, device: tch::Device, threads: usize, subject: &Subject) -> Result<Opened> {
    // On a thread that ends, and with it the helpers that OpenMP gave it: while there are more such helpers in the
    // process than cores, all of them sleep at every barrier instead of spinning, which made a batch of one on two
    // threads take twice as long.
    std::thread::scope(|scope| {
        let opening = scope.spawn(|| {
            configure_thread(threads);
            opened(file, device, subject)
        });
        opening
            .join()
            .unwrap_or_else(|_| Err(Error::Internal("a panic while the model was loaded".into())))
    })
}

fn opened(file: &Path, device: tch::Device, subject: &Subject) -> Result<Opened> {
    let (artifact, instances) = (&subject.manifest.artifact, &subject.manifest.instances);
    let module = Module::load(file, device)?;
    let methods = tasks::methods(subject.manifest.task);
    let offered: Vec<&str> = module.methods().iter().map(|m| m.name.as_str()).collect();
    if let Some(missing) = methods.iter().find(|method| !offered.contains(method)) {
        let task = subject.manifest.task;
        let offered = offered.join(", ");
        return Err(Error::InvalidModel {
            problems: vec![format!(
                "the task {task:?} calls `{missing}`, but the module offers {offered}; export it with @torch.jit.export"
            )],
        });
    }
    if let Some(layer) = &subject.manifest.explain.layer {
        let layers = module.layers(methods[0])?;
        if !layers.iter().any(|l| l.path == *layer) {
            let problem =
                format!("explain.layer: the model has no layer `{layer}`; `lucarne inspect` lists them");
            return Err(Error::InvalidModel {
                problems: vec![problem],
            });
        }
    }
    let session = match artifact.format {
        ArtifactFormat::Torchscript => match specialised(&module, device, subject) {
            Some(session) => session,
            None => Session::prepare(&module, device, methods, instances.precision)?,
        },
        ArtifactFormat::Aoti => {
            // One runner more than instances: explanations run it too.
            let runners = NonZeroUsize::MIN.saturating_add(instances.count);
            Session::compiled(&manifest::packages(file), runners, device)?
        }
    };
    if let tch::Device::Cuda(index) = device {
        // The weights were copied on this thread's stream; the workers compute on streams of their own.
        tch::Cuda::synchronize(index as i64);
    }
    Ok(Opened {
        parameters: module.parameter_count()?,
        session,
    })
}

/// `module` compiled for batch sizes, where that is not refused and can be done: on the CPU, in f32, and when `forward`
/// of a batch of pictures is all that is called.
fn specialised(module: &Module, device: tch::Device, subject: &Subject) -> Option<Session> {
    let instances = &subject.manifest.instances;
    let is_wanted = instances.specialise && instances.precision == Precision::F32;
    if !is_wanted || device != tch::Device::Cpu || !tasks::takes_one_batch(subject) {
        return None;
    }
    let example = |size| subject.blank(size, device);
    Session::specialised(module, subject.manifest.batching.max_batch_size, example)
        .inspect_err(|error| tracing::info!(%error, "the model is not compiled for batch sizes"))
        .ok()
}

fn labels(dir: &Path, manifest: &Manifest, version: &Version) -> Result<Labels> {
    let Some(name) = &manifest.output.labels else {
        return Ok(Labels::default());
    };
    // A version may bring labels of its own.
    let own = version.file.with_file_name(name);
    Labels::read(&if own.is_file() { own } else { dir.join(name) })
}

/// Says which file an error is about, and makes every failure to load one of the model's.
fn in_file(file: &Path, error: Error) -> Error {
    let problems = match error {
        Error::InvalidModel { problems } => problems,
        other => vec![other.to_string()],
    };
    Error::InvalidModel {
        problems: problems
            .into_iter()
            .map(|p| format!("{}: {p}", file.display()))
            .collect(),
    }
}

/// The name under which a folder is served: letters, digits, `_`, `-` and `.`.
fn model_name(dir: &Path) -> Result<String> {
    let name = dir.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if name.is_empty() || !name.chars().all(allowed) {
        let problem = format!(
            "{}: a model's folder is named with letters, digits, _, - and .",
            dir.display()
        );
        return Err(Error::InvalidModel {
            problems: vec![problem],
        });
    }
    Ok(name.to_owned())
}
