//! From a model's folder to a model that answers: manifest, artifact, labels, contract, engines, warm-up.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tch::Device;

use super::batches;
use super::files::{chosen, in_file, labels};
use super::model::{Measured, Model, Predict};
use super::names::model_name;
use super::stamp::Stamp;
use super::thread::LoaderThread;
use super::trial::Trials;
use crate::engine::batcher::Policy;
use crate::engine::cores::{Class, Cores};
use crate::engine::observer::Observer;
use crate::engine::{Context, Engine, Runner, Setup, Share, Work};
use crate::error::{Error, Result};
use crate::explain::{Explainer, Origin};
use crate::manifest::{self, Manifest, Precision, TaskKind, Version};
use crate::runtime::process::{configure_thread, configure_thread_on, release_unused_memory};
use crate::runtime::{Agreement, Artifact, Formats, Native, Opened, Program, Requirements, device, raised};
use crate::tasks::{self, ModelSpec, Predictor, Scores};

/// Makes the observer of one of a model's two queues, given the names of the model, its version and the queue.
pub type ObserverOf = dyn Fn(&str, &str, &'static str) -> Arc<dyn Observer> + Send + Sync;

/// Loads models; all of them share the cores.
pub struct Loader {
    cores: Arc<Cores>,
    formats: Arc<dyn Formats>,
    observer: Box<ObserverOf>,
    trials: Option<Trials>,
    examines: bool,
    settles: bool,
}

impl std::fmt::Debug for Loader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loader")
            .field("cores", &self.cores.count())
            .finish_non_exhaustive()
    }
}

/// A model that is being loaded.
struct Loading<'a> {
    name: &'a str,
    version: &'a str,
    spec: Arc<ModelSpec>,
    artifact: Arc<Artifact>,
    devices: Vec<Device>,
    threads: usize,
}

impl Loader {
    /// A loader whose models report to `observer(model, version, queue)`.
    #[must_use]
    pub fn new(cores: Arc<Cores>, observer: Box<ObserverOf>) -> Self {
        Self {
            cores,
            formats: Arc::new(Native),
            observer,
            trials: None,
            examines: false,
            settles: false,
        }
    }

    /// The same, which compiles at once what is otherwise compiled when batches have come: the last digits of numbers change by it.
    #[must_use]
    pub fn settled(self) -> Self {
        Self {
            settles: true,
            ..self
        }
    }

    /// The cores that its models share.
    pub(super) fn cores(&self) -> &Cores {
        &self.cores
    }

    /// The same, which tries each model in a process of its own before it loads it, if there are trials.
    #[must_use]
    pub fn with_trials(self, trials: Option<Trials>) -> Self {
        Self { trials, ..self }
    }

    /// Tries `version` of the model in `dir`, the newest without one, if this loader tries models; what its files were before.
    ///
    /// # Errors
    /// As [`Trials::run`].
    pub(super) async fn try_out(&self, dir: &Path, version: Option<&str>) -> Result<Option<Stamp>> {
        let Some(trials) = self.trials.clone() else {
            return Ok(None);
        };
        let (dir, version) = (dir.to_owned(), version.map(str::to_owned));
        let trial = tokio::task::spawn_blocking(move || trials.stamped(&dir, version.as_deref()).map(Some));
        trial
            .await
            .unwrap_or_else(|e| Err(Error::Internal(e.to_string())))
    }

    /// Loads, examines and warms up one model by itself, with nobody to serve it; it ends before this returns.
    ///
    /// # Errors
    /// [`Error::InvalidModel`] with all that is wrong with it.
    pub fn load_alone(mut self, dir: &Path, version: Option<&str>) -> Result<()> {
        let retiring = LoaderThread::start()?;
        self.examines = true;
        let loaded = self.load(dir, version, None, &retiring).map(drop);
        retiring.stop();
        loaded
    }

    /// The same with other formats.
    #[must_use]
    pub fn with_formats(self, formats: Arc<dyn Formats>) -> Self {
        Self { formats, ..self }
    }

    /// Loads `version` of the model in `dir`, the newest without one, and warms it up. Its workers are waited for on
    /// `retiring` when the last handle on it is dropped. Nothing where its files are others than those that were `tried`.
    pub(super) fn load(
        &self,
        dir: &Path,
        version: Option<&str>,
        tried: Option<&Stamp>,
        retiring: &LoaderThread,
    ) -> Result<Option<Model>> {
        let started = Instant::now();
        let name = model_name(dir)?;
        let _log = tracing::error_span!("load", model = name).entered();
        let manifest = Manifest::read(dir)?;
        let versions = manifest::versions(dir, &manifest.artifact)?;
        let version = chosen(&versions, version.or(manifest.versions.serve.as_deref()))?;
        let artifact = &manifest.artifact;
        let artifact = Artifact::open(&version.file, artifact.format, artifact.sha256.as_deref())?;
        let sizes = self.formats.batch(&artifact, tasks::methods(manifest.task));
        let manifest = sizes.and_then(|sizes| batches::within(manifest, sizes));
        let manifest = manifest.map_err(|e| in_file(&version.file, e))?;
        let spec = Arc::new(ModelSpec::new(manifest.clone(), labels(dir, &manifest, version)?));
        // All of them have been read now, and nothing of them has been run.
        if tried.is_some_and(|tried| Stamp::of(dir) != *tried) {
            return Ok(None);
        }
        let devices = device::place(manifest.instances.device, manifest.instances.count)?;
        let loading = Loading {
            name: &name,
            version: &version.name,
            threads: threads(&manifest, &devices, self.cores.count()),
            spec,
            artifact: Arc::new(artifact),
            devices,
        };
        let model = self.start(&loading, version, &versions, retiring)?;
        // Freezing and checking took more than serving will.
        release_unused_memory();
        let load_ms = started.elapsed().as_millis();
        tracing::info!(
            model = name,
            version = version.name,
            device = model.device,
            load_ms,
            "model is ready"
        );
        Ok(Some(model))
    }

    fn start(
        &self,
        loading: &Loading<'_>,
        version: &Version,
        versions: &[Version],
        retiring: &LoaderThread,
    ) -> Result<Model> {
        let file = loading.artifact.path();
        let open = |device| self.open(loading, device);
        let opened = device::each(&loading.devices, open).map_err(|e| in_file(file, e))?;
        let first = &opened[&device::name(loading.devices[0])];
        let origin = Origin {
            artifact: Arc::clone(&loading.artifact),
            formats: Arc::clone(&self.formats),
            program: Arc::clone(&first.program),
            precision: first.precision,
            device: loading.devices[0],
            // As many as an instance: a pass that asked for more would hold cores idle until all of them are free.
            share: self.cores.share(loading.threads),
        };
        let (parameters, precision, measured) = (first.parameters, first.precision, first.measured);
        let predict = self.predict(loading, opened).map_err(|e| in_file(file, e))?;
        if self.examines {
            try_limits(&origin, &loading.spec).map_err(|e| in_file(file, e))?;
        }
        let spec = Arc::clone(&loading.spec);
        let explain = Engine::start(&self.explain_setup(loading), move |_| {
            Explainer::new(origin.clone(), Arc::clone(&spec))
        })?;
        Ok(Model {
            name: loading.name.to_owned(),
            version: version.name.clone(),
            versions: versions.iter().map(|v| v.name.clone()).collect(),
            spec: Arc::clone(&loading.spec),
            device: device::names(&loading.devices),
            threads: loading.threads,
            parameters,
            precision,
            measured: measured.map(Measured::from),
            predict,
            explain,
            retiring: retiring.clone(),
        })
    }

    fn open(&self, loading: &Loading<'_>, device: Device) -> Result<Opened> {
        let share = self.share_on(device, loading.threads);
        with_threads(loading.threads, || {
            let (formats, spec) = (&*self.formats, &*loading.spec);
            let opened = open(
                formats,
                &loading.artifact,
                spec,
                device,
                share.clone(),
                self.examines,
            )?;
            if self.settles && tasks::takes_one_batch(spec) {
                let blank = |size| spec.blank(size, device);
                opened.program.settle(&share, &blank)?;
            }
            Ok(opened)
        })
    }

    /// The engine of a model's task.
    fn predict(&self, loading: &Loading<'_>, opened: device::Each<Opened>) -> Result<Predict> {
        Ok(match loading.spec.manifest.task {
            TaskKind::Classification => Predict::Classification(self.engine(loading, opened)?),
            TaskKind::Segmentation => Predict::Segmentation(self.engine(loading, opened)?),
            TaskKind::Detection => Predict::Detection(self.engine(loading, opened)?),
            TaskKind::Captioning => Predict::Captioning(self.engine(loading, opened)?),
            TaskKind::Vae => Predict::Vae(self.engine(loading, opened)?),
            TaskKind::Embedding => Predict::Embedding(self.engine(loading, opened)?),
            TaskKind::Regression => Predict::Regression(self.engine(loading, opened)?),
            TaskKind::ImageToImage => Predict::ImageToImage(self.engine(loading, opened)?),
            TaskKind::Tensor => Predict::Tensor(self.engine(loading, opened)?),
        })
    }

    fn engine<W: Work>(&self, loading: &Loading<'_>, opened: device::Each<Opened>) -> Result<Engine<W>>
    where
        Predictor: Runner<W>,
    {
        let (spec, devices, threads) = (
            Arc::clone(&loading.spec),
            loading.devices.clone(),
            loading.threads,
        );
        let setup = self.predict_setup(loading);
        let share = setup.share.clone();
        Engine::start(&setup, move |index| {
            configure_thread_on(devices[index], threads)?;
            let program = &opened[&device::name(devices[index])].program;
            Predictor::new(Arc::clone(program), Arc::clone(&spec), &share)
        })
    }

    /// A thread that waits for a GPU leaves the cores to others.
    fn share_on(&self, device: Device, threads: usize) -> Share {
        self.cores.share(if device.is_cuda() { 0 } else { threads })
    }

    fn predict_setup(&self, loading: &Loading<'_>) -> Setup {
        let batching = &loading.spec.manifest.batching;
        Setup {
            name: loading.name.to_owned(),
            policy: Policy {
                max_batch: batching.max_batch_size,
                max_delay: batching.max_delay,
                capacity: batching.queue_capacity,
            },
            workers: loading.devices.len(),
            share: self.share_on(loading.devices[0], loading.threads),
            observer: (self.observer)(loading.name, loading.version, "predict"),
        }
    }

    fn explain_setup(&self, loading: &Loading<'_>) -> Setup {
        Setup {
            name: format!("{}:explain", loading.name),
            policy: Policy {
                max_batch: 1,
                max_delay: Duration::ZERO,
                capacity: loading.spec.manifest.explain.queue_capacity,
            },
            workers: 1,
            // The explainer takes its cores pass by pass.
            share: self.cores.share(0),
            observer: (self.observer)(loading.name, loading.version, "explain"),
        }
    }
}

/// Opens `artifact` for the calling thread's number of threads, as the task and the manifest of `spec` require.
fn open(
    formats: &dyn Formats,
    artifact: &Artifact,
    spec: &ModelSpec,
    device: Device,
    share: Share,
    examines: bool,
) -> Result<Opened> {
    let manifest = &spec.manifest;
    let of_passes = share.clone();
    let examine =
        |opened: &Opened, exported: &dyn Program| tasks::examine(opened, exported, spec, &of_passes);
    let blank = |size| spec.blank(size, device);
    let selection = spec.selection();
    let takes_one_batch = tasks::takes_one_batch(spec);
    let measures = manifest.instances.precision == Precision::Auto && takes_one_batch;
    let scores = measures.then(|| Scores::new(spec, device)).transpose()?;
    let wanted = Requirements {
        task: manifest.task,
        methods: tasks::methods(manifest.task),
        layer: manifest.explain.layer.as_deref(),
        device,
        share,
        precision: manifest.instances.precision,
        specialise: manifest.instances.specialise,
        instances: manifest.instances.count,
        max_batch: manifest.batching.max_batch_size,
        selection: selection.as_ref(),
        agreement: scores.as_ref().map(|scores| scores as &dyn Agreement),
        example: takes_one_batch.then_some(&blank),
        examine: (examines && tasks::can_be_examined(spec)).then_some(&examine),
    };
    formats.open(artifact, &wanted)
}

/// Tries what nothing but a request would try: the ends of whole numbers, and the layer of which model.toml says that it has a
/// map.
fn try_limits(origin: &Origin, spec: &Arc<ModelSpec>) -> Result<()> {
    with_threads(origin.share.count, || {
        let permit = origin.share.acquire(Class::Explain);
        tasks::bear_extremes(&*origin.program, &permit, spec)?;
        drop(permit);
        if spec.manifest.explain.layer.is_none() {
            return Ok(());
        }
        let explainer = Explainer::new(origin.clone(), Arc::clone(spec))?;
        let checked = explainer.check_default_layer(&Context::until(None));
        checked.map_err(|e| Error::model(format!("explain.layer: {e}")))
    })
}

/// Opens the artifact `file` of a model without a server around it, for the calling thread's number of threads and on
/// this `share` of the CPU; for measurements.
///
/// # Errors
/// As [`Formats::open`].
pub fn open_alone(file: &Path, spec: &ModelSpec, share: Share) -> Result<Opened> {
    let artifact = Artifact::open(file, spec.manifest.artifact.format, None)?;
    with_threads(share.count, || {
        open(&Native, &artifact, spec, Device::Cpu, share, false)
    })
}

/// Runs `work` on a thread that ends, and with it the helpers that OpenMP gave it: while there are more such helpers in
/// the process than cores, all of them sleep at every barrier instead of spinning, which made a batch of one on two
/// threads take twice as long.
fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let log = tracing::Span::current();
    std::thread::scope(|scope| {
        let working = scope.spawn(|| {
            configure_thread(threads);
            log.in_scope(|| raised(work))
        });
        let panicked = |_| Err(Error::Internal("a panic while the model was loaded".into()));
        working.join().unwrap_or_else(panicked)
    })
}

/// Threads of each instance. Beside a GPU one is enough: it only hands over work.
fn threads(manifest: &Manifest, devices: &[Device], cores: usize) -> usize {
    let asked = match (manifest.instances.threads, devices[0]) {
        (0, Device::Cuda(_)) => 1,
        (asked, _) => asked,
    };
    device::threads_each(asked, devices.len(), cores)
}
