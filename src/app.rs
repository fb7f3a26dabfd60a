//! The composition root: builds the service, serves it, drains it.

mod routes;

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

pub use routes::document;

use crate::catalog::{Catalog, Loader, Seen, State, Trials};
use crate::config::{ModelControl, Settings};
use crate::engine::cores::{Cores, cores_of_this_machine};
use crate::error::{Error, Result};
use crate::runtime::process::{self, release_free_memory};
use crate::service::Service;
use crate::telemetry::{Log, Metrics};
use crate::transport::{self, Connections, Listener, Tls, UnixSocket};

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

    /// The model in one folder; nothing is loaded yet.
    ///
    /// # Errors
    /// [`Error::InvalidSettings`]
    pub fn of_model(dir: PathBuf, settings: &Settings) -> Result<Self> {
        let metrics = Arc::new(Metrics::new());
        let catalog = Catalog::of([dir], loader(settings, &metrics))?;
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

/// Serves until SIGTERM or SIGINT, then answers what was accepted. Whoever called it then leaves the process by
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

/// Where the server listens.
struct Sockets {
    public: TcpListener,
    operations: Option<TcpListener>,
    unix: Option<UnixSocket>,
}

impl Sockets {
    /// Listens where the settings say, and writes and logs where that is.
    fn listen(settings: &Settings) -> Result<Self> {
        let listen = |address: SocketAddr, cure| {
            transport::listen(address).map_err(|e| {
                Error::InvalidSettings(format!("cannot listen on {address}: {e}; give another {cure}"))
            })
        };
        let address = SocketAddr::new(settings.host, settings.port);
        let public = listen(address, "--host or --port")?;
        let operations = settings.operations.map(|address| listen(address, "--operations"));
        let in_file = |path: &PathBuf| {
            transport::listen_in_file(path).map_err(|e| {
                Error::InvalidSettings(format!(
                    "cannot listen on {}: {e}; give another --unix-socket",
                    path.display()
                ))
            })
        };
        let sockets = Self {
            public,
            operations: operations.transpose()?,
            unix: settings.unix_socket.as_ref().map(in_file).transpose()?,
        };
        let address = sockets.public.local_addr().unwrap_or(address);
        if let Some(file) = &settings.port_file {
            write_port(file, address.port())?;
        }
        tracing::info!(%address, "listening");
        if let Some(Ok(address)) = sockets.operations.as_ref().map(TcpListener::local_addr) {
            tracing::info!(%address, "listening for operators");
        }
        if let Some(path) = &settings.unix_socket {
            tracing::info!(path = %path.display(), "listening on a Unix socket");
        }
        Ok(sockets)
    }

    /// Serves `router` to whoever connects, until the future is dropped.
    async fn accept(&self, connections: &Connections, router: &Router) {
        let public = connections.accept((&self.public, Listener::Public), router.clone());
        let operations = async {
            if let Some(socket) = &self.operations {
                connections
                    .accept((socket, Listener::Operations), router.clone())
                    .await;
            }
        };
        let unix = async {
            if let Some(socket) = &self.unix {
                connections
                    .accept((socket, Listener::Public), router.clone())
                    .await;
            }
        };
        tokio::join!(public, operations, unix);
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

/// Written beside and renamed, so that a reader that waits for the file never reads half of it. What is no file, such as a
/// pipe or /dev/stdout, is written to; a link stays one.
fn write_port(file: &Path, port: u16) -> Result<()> {
    let text = format!("{port}\n");
    let target = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let written = match std::fs::metadata(&target) {
        // Without waiting: a pipe that nobody reads would hold up the start for ever.
        Ok(found) if !found.is_file() => std::fs::File::options()
            .write(true)
            .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
            .open(&target)
            .and_then(|mut pipe| pipe.write_all(text.as_bytes())),
        _ => {
            let half = target.with_extension("part");
            std::fs::write(&half, text)
                .and_then(|()| std::fs::rename(&half, &target))
                .inspect_err(|_| drop(std::fs::remove_file(&half)))
        }
    };
    written.map_err(|e| Error::InvalidSettings(format!("--port-file {}: {e}", file.display())))
}

/// The signals that end a server; they are waited for from the start, so that none is lost.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// That the terminal is closed; nothing under `nohup`, which has it ignored.
    hangup: Option<Signal>,
    /// A log that reached the size that a file may have would end the process; with a listener, writing fails instead.
    _file_too_large: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        let listen = |kind| signal(kind).map_err(|e| Error::Internal(format!("signals: {e}")));
        let file_too_large = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
        let signals = Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: match is_ignored(rustix::process::Signal::HUP) {
                true => None,
                false => Some(listen(SignalKind::hangup())?),
            },
            _file_too_large: listen(file_too_large)?,
        };
        process::admit_signals()?;
        Ok(signals)
    }

    async fn next(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => drop(hangup.recv().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            () = hangup => {}
        }
    }
}

/// Whether whoever started the process has it ignore `signal`.
fn is_ignored(signal: rustix::process::Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask >> (signal.as_raw() - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_port_is_written_through_a_link_and_never_over_what_is_no_file() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (file, link) = (dir.path().join("port"), dir.path().join("link"));
        std::fs::write(&file, "old").expect("writable");
        symlink("port", &link).expect("writable");
        write_port(&link, 80).expect("written");
        assert_eq!(std::fs::read_to_string(&file).expect("it is there"), "80\n");
        assert!(link.is_symlink());
        write_port(Path::new("/dev/null"), 80).expect("written");
        assert!(!std::fs::metadata("/dev/null").expect("it is there").is_file());
        assert!(write_port(dir.path(), 80).is_err());
        let left = std::fs::read_dir(dir.path()).expect("it can be read").count();
        assert_eq!(left, 2, "nothing beside the file and the link");
    }
}
