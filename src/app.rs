//! The composition root: builds the service, serves it, drains it.

use std::future::IntoFuture;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::catalog::{Catalog, Loader, State};
use crate::config::Settings;
use crate::engine::cores::Cores;
use crate::error::{Error, Result};
use crate::protocol::v1;
use crate::service::Service;
use crate::telemetry::Metrics;
use crate::transport;

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
        let metrics = Arc::new(Metrics::new());
        let catalog = Catalog::scan(&settings.models, loader(&metrics))?;
        Self::of(catalog, settings, metrics)
    }

    /// The model in one folder; nothing is loaded yet.
    ///
    /// # Errors
    /// [`Error::InvalidSettings`]
    pub fn of_model(dir: PathBuf, settings: &Settings) -> Result<Self> {
        let metrics = Arc::new(Metrics::new());
        let catalog = Catalog::of([dir], loader(&metrics))?;
        Self::of(catalog, settings, metrics)
    }

    /// The models of `catalog`.
    ///
    /// # Errors
    /// [`Error::InvalidSettings`]
    pub fn of(catalog: Catalog, settings: &Settings, metrics: Arc<Metrics>) -> Result<Self> {
        let service = Service::new(catalog, settings, metrics)?;
        Ok(Self {
            app: transport::App::new(service, settings),
        })
    }

    /// The use cases.
    #[must_use]
    pub fn service(&self) -> &Service {
        &self.app.service
    }

    /// Loads every model; returns when each is ready or has failed.
    ///
    /// # Errors
    /// [`Error::NotReady`] when the server was stopped meanwhile.
    pub async fn load(&self) -> Result<()> {
        self.service().catalog().load_all().await
    }

    /// [`Server::load`], for commands that cannot go on without the models.
    ///
    /// # Errors
    /// The first error of a model that cannot be loaded.
    pub async fn load_or_fail(&self) -> Result<()> {
        self.load().await?;
        for listed in self.service().models() {
            if let State::Failed(error) = listed.state {
                return Err(error);
            }
        }
        Ok(())
    }

    /// The routes of every protocol.
    pub fn router(&self) -> Router {
        v1::router(self.app.clone())
    }
}

/// A loader for this machine, whose models are counted in `metrics`.
fn loader(metrics: &Arc<Metrics>) -> Loader {
    let metrics = Arc::clone(metrics);
    let observer = Box::new(move |model: &str, queue| metrics.observer(model, queue));
    Loader::new(Cores::of_this_machine(), observer)
}

/// Serves until SIGTERM or SIGINT, then answers what was accepted.
///
/// # Errors
/// [`Error::InvalidSettings`] when the address cannot be bound or the folder not be read; [`Error::NotReady`]
/// when requests were still under way at the end of the drain time.
pub async fn serve(settings: Settings) -> Result<()> {
    let drain_timeout = Duration::from_secs(settings.drain_timeout_s);
    let address = SocketAddr::new(settings.host, settings.port);
    let server = Server::new(&settings)?;
    let listener = TcpListener::bind(address).await.map_err(|e| {
        Error::InvalidSettings(format!(
            "cannot listen on {address}: {e}; give another --host or --port"
        ))
    })?;
    let address = listener.local_addr().unwrap_or(address);
    if let Some(file) = &settings.port_file {
        write_port(file, address.port())?;
    }
    tracing::info!(%address, "listening");
    let (service, router) = (server.service().clone(), server.router());
    tokio::spawn(load(server));
    let (signalled, is_signalled) = oneshot::channel();
    let shutdown = async move {
        termination().await;
        tracing::info!(drain_timeout_s = drain_timeout.as_secs(), "shutting down");
        signalled.send(()).unwrap_or_default();
    };
    let serving = axum::serve(listener, router)
        .with_graceful_shutdown(shutdown)
        .into_future();
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => return ended.map_err(|e| Error::Internal(e.to_string())),
        _ = is_signalled => service.drain(),
    }
    // The listener is closed: a client that connects now is refused. Connections that are open finish what they asked.
    let drained = tokio::time::timeout(drain_timeout, serving).await;
    // It waits for the workers, so it is not for a thread that answers requests.
    let closing = tokio::task::spawn_blocking(move || service.catalog().shut_down());
    closing.await.map_err(|e| Error::Internal(e.to_string()))?;
    match drained {
        Ok(_) => {
            tracing::info!("every request was answered");
            Ok(())
        }
        Err(_) => Err(Error::NotReady(
            "requests were still under way when the drain time ended".into(),
        )),
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

/// Written beside and renamed, so that a reader that waits for the file never reads half of it.
fn write_port(file: &Path, port: u16) -> Result<()> {
    let half = file.with_extension("part");
    std::fs::write(&half, format!("{port}\n"))
        .and_then(|()| std::fs::rename(&half, file))
        .map_err(|e| Error::InvalidSettings(format!("--port-file {}: {e}", file.display())))
}

async fn termination() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        // Without handlers the signals end the process, which is the best that is left.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
