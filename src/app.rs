//! The composition root: builds the service, serves it, drains it.

mod routes;
mod signals;
mod sockets;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;

pub use routes::document;
use signals::Signals;
use sockets::Sockets;

use crate::catalog::{Catalog, Loader, Seen, State, Trials};
use crate::config::{ModelControl, Settings};
use crate::engine::cores::{Cores, cores_of_this_machine};
use crate::error::{Error, Result};
use crate::runtime::process::{self, release_free_memory};
use crate::service::Service;
use crate::telemetry::{Log, Metrics};
use crate::transport::{self, Connections, Tls};

/// A service whose models may still have to be loaded, and the protocols that speak for it.
#[derive(Debug, Clone)]
pub struct Server {
    app: transport::App,
}

impl Server {
    /// The models in the settings' folder; nothing is loaded yet.
    ///
    /// # Errors
    /// [`Error::InvalidSettings`]
    pub fn new(settings: &Settings) -> Result<Self> {
        Self::scan(settings, None)
    }

    /// [`Server::new`], which tries each model in a process of its own first, if the settings say so. That process is this
    /// program, so it is for the program alone.
    fn with_trials(settings: &Settings) -> Result<Self> {
        Self::scan(settings, settings.try_models.then(|| trials(settings)))
    }

    fn scan(settings: &Settings, trials: Option<Trials>) -> Result<Self> {
        let metrics = Arc::new(Metrics::new());
        let loader = loader(settings, &metrics).with_trials(trials);
        Self::of(Catalog::scan(&settings.models, loader)?, settings, metrics)
    }

    /// The model in one folder, for a command that asks it much; nothing is loaded yet.
    ///
    /// # Errors
    /// [`Error::InvalidSettings`]
    pub fn of_model(dir: PathBuf, settings: &Settings) -> Result<Self> {
        let metrics = Arc::new(Metrics::new());
        let catalog = Catalog::of([dir], loader(settings, &metrics).settled())?;
        Self::of(catalog, settings, metrics)
    }

    /// The models of `catalog`.
    ///
    /// # Errors
    /// [`Error::InvalidSettings`]
    pub fn of(catalog: Catalog, settings: &Settings, metrics: Arc<Metrics>) -> Result<Self> {
        let service = Service::new(catalog, settings, metrics)?;
        Ok(Self {
            app: transport::App::new(service, settings)?,
        })
    }

    /// The use cases.
    #[must_use]
    pub fn service(&self) -> &Service {
        &self.app.service
    }

    /// Loads every model; returns when each is ready or has failed, which is logged.
    ///
    /// # Errors
    /// [`Error::NotReady`] when the server was stopped meanwhile.
    pub async fn load(&self) -> Result<()> {
        let failed = |model: &str, error: &Error| {
            tracing::error!(model, %error, "model cannot be loaded; the others go on");
        };
        self.service().catalog().load_all(failed).await
    }

    /// [`Server::load`], for commands that cannot go on without the models, and say themselves what is wrong.
    ///
    /// # Errors
    /// The first error of a model that cannot be loaded.
    pub async fn load_or_fail(&self) -> Result<()> {
        self.service().catalog().load_all(|_, _| {}).await?;
        for listed in self.service().models() {
            if let State::Failed(error) = listed.state {
                return Err(error);
            }
        }
        Ok(())
    }

    /// The routes of every protocol.
    pub fn router(&self) -> Router {
        routes::router(self.app.clone())
    }
}

/// How models are tried before they serve.
#[must_use]
pub fn trials(settings: &Settings) -> Trials {
    Trials {
        patience: Duration::from_secs(settings.load_timeout_s),
        memory: match settings.max_model_mb {
            0 => process::machine_memory() / 4 * 3,
            mb => mb << 20,
        },
        cache: settings.cache_dir.clone().or_else(cache_dir),
    }
}

/// Where a program of this user keeps what it can make again.
fn cache_dir() -> Option<PathBuf> {
    let of_user = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let of_home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    let folder = of_user.filter(|folder| folder.is_absolute()).or_else(of_home)?;
    Some(folder.join("lucarne"))
}

/// A loader for this machine, whose models are counted in `metrics`.
fn loader(settings: &Settings, metrics: &Arc<Metrics>) -> Loader {
    let metrics = Arc::clone(metrics);
    let observer = Box::new(move |model: &str, version: &str, queue| metrics.observer(model, version, queue));
    let patience = Duration::from_secs(settings.max_pass_s);
    Loader::new(Cores::giving_up_on(cores_of_this_machine(), patience), observer)
}

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// What was accepted was answered, or its time was up.
    Drained,
    /// A second signal would not wait.
    AtOnce,
}

/// Serves until SIGTERM or SIGINT, then answers what was accepted. The caller then leaves the process by
/// [`exit_now`](crate::runtime::process::exit_now): passes may still be under way.
///
/// # Errors
/// [`Error::InvalidSettings`] when the address cannot be bound or the folder not be read.
pub async fn serve(settings: Settings, log: &Log) -> Result<Ended> {
    let mut signals = Signals::new()?;
    let drain_timeout = Duration::from_secs(settings.drain_timeout_s);
    let server = Server::with_trials(&settings)?;
    server.service().metrics().count_dropped_lines(log.dropped());
    let connections = Connections::new(&settings, Tls::read(&settings)?);
    for (variable, why) in Settings::unread_variables() {
        tracing::warn!(variable, "{why}");
    }
    let sockets = Sockets::listen(&settings)?;
    let (service, router) = (server.service().clone(), server.router());
    follow(&server, &connections, &settings)?;
    tokio::spawn(load(server));
    let keeping_house = std::thread::Builder::new()
        .name("memory".into())
        .spawn(keep_house);
    keeping_house.map_err(|e| Error::InvalidSettings(format!("cannot start a thread: {e}")))?;
    tokio::select! {
        () = sockets.accept(&connections, &router) => {}
        () = signals.next() => {}
    }
    tracing::info!(drain_timeout_s = drain_timeout.as_secs(), "shutting down");
    // A client that connects now is refused. Connections that are open finish what they asked.
    drop(sockets);
    service.drain();
    tokio::select! {
        () = drain(&connections, service, drain_timeout) => Ok(Ended::Drained),
        () = signals.next() => Ok(Ended::AtOnce),
    }
}

/// Follows what changes while the server runs: keys, certificates, and the folders of models where they are polled.
fn follow(server: &Server, connections: &Connections, settings: &Settings) -> Result<()> {
    let keys = Arc::clone(server.app.keys());
    tokio::spawn(async move { keys.follow().await });
    if let Some(tls) = connections.tls() {
        tokio::spawn(async move { tls.follow().await });
    }
    let service = server.service().clone();
    tokio::spawn(async move { service.catalog().rest().await });
    if settings.model_control == ModelControl::Poll {
        let service = server.service().clone();
        let (seen, interval) = (
            Seen::now(service.catalog())?,
            Duration::from_secs(settings.poll_interval_s),
        );
        tokio::spawn(async move { seen.follow(service.catalog(), interval).await });
    }
    Ok(())
}

/// Gives memory back now and then, as long as the process lives.
fn keep_house() {
    const PAUSE: Duration = Duration::from_secs(5);
    loop {
        std::thread::sleep(PAUSE);
        release_free_memory();
    }
}

/// Lets everything that was accepted be answered, and the workers end.
async fn drain(connections: &Connections, service: Service, within: Duration) {
    /// How long idle workers take to end. A pass or a load that goes on longer is left behind.
    const WORKERS: Duration = Duration::from_millis(500);
    match connections.drain(within).await {
        0 => tracing::info!("every request was answered"),
        cut_off => tracing::warn!(cut_off, "requests were still under way when the drain time ended"),
    }
    // It waits for the workers, so it is not for a thread that answers requests.
    let closing = tokio::task::spawn_blocking(move || service.catalog().shut_down());
    if tokio::time::timeout(WORKERS, closing).await.is_err() {
        tracing::info!("a pass or a load was still under way");
    }
}

/// Models are loaded while the server answers; requests for one that is not there yet get 503 meanwhile.
async fn load(server: Server) {
    if server.load().await.is_err() {
        return; // The server was stopped.
    }
    match server.service().catalog().ready() {
        Ok(()) => tracing::info!("ready"),
        Err(error) => tracing::error!(%error, "not every required model could be loaded"),
    }
}
