//! The composition root: builds the service, serves it, drains it.

use std::future::IntoFuture;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::config::Settings;
use crate::engine::turns::Turns;
use crate::error::{Error, Result};
use crate::http::{self, App};
use crate::repository::{Loader, Registry, State};
use crate::telemetry::Metrics;

/// A service whose models may still be loading.
#[derive(Debug)]
pub struct Service {
    app: App,
    registry: Arc<Registry>,
    metrics: Arc<Metrics>,
}

impl Service {
    /// Scans the model folder; nothing is loaded yet.
    ///
    /// # Errors
    /// [`Error::InvalidSettings`]
    pub fn new(settings: Settings) -> Result<Self> {
        let registry = Registry::scan(&settings.models)?;
        Self::of(registry, settings)
    }

    /// A service of the models in `registry`.
    ///
    /// # Errors
    /// [`Error::InvalidSettings`]
    pub fn of(registry: Registry, settings: Settings) -> Result<Self> {
        let registry = Arc::new(registry);
        let metrics = Arc::new(Metrics::new());
        let app = App::new(settings, Arc::clone(&registry), Arc::clone(&metrics))?;
        Ok(Self {
            app,
            registry,
            metrics,
        })
    }

    /// Loads every model; returns when each is ready or has failed.
    pub fn load(&self) {
        let metrics = Arc::clone(&self.metrics);
        let observer = Box::new(move |model: &str, queue| metrics.observer(model, queue));
        self.registry
            .load_all(&Loader::new(Turns::of_this_machine(), observer));
    }

    /// [`Service::load`], for whoever cannot go on without the models.
    ///
    /// # Errors
    /// The first error of a model that cannot be loaded.
    pub fn load_or_fail(&self) -> Result<()> {
        self.load();
        for entry in self.registry.entries() {
            if let State::Failed(error) = entry.state() {
                return Err(error);
            }
        }
        Ok(())
    }

    /// The name of the first model; empty if there is none.
    #[must_use]
    pub fn first_model(&self) -> String {
        self.registry
            .entries()
            .next()
            .map(|entry| entry.name.clone())
            .unwrap_or_default()
    }

    /// The routes.
    pub fn router(&self) -> Router {
        http::router(self.app.clone())
    }
}

/// Serves until SIGTERM or SIGINT, then answers what was accepted.
///
/// # Errors
/// [`Error::InvalidSettings`] when the address cannot be bound or the folder not be read; [`Error::NotReady`]
/// when requests were still under way at the end of the drain time.
pub async fn serve(settings: Settings) -> Result<()> {
    let drain_timeout = Duration::from_secs(settings.drain_timeout_s);
    let (address, port_file) = (
        SocketAddr::new(settings.host, settings.port),
        settings.port_file.clone(),
    );
    let service = Arc::new(Service::new(settings)?);
    let listener = TcpListener::bind(address).await.map_err(|e| {
        Error::InvalidSettings(format!(
            "cannot listen on {address}: {e}; give another --host or --port"
        ))
    })?;
    let address = listener.local_addr().unwrap_or(address);
    if let Some(file) = port_file {
        write_port(&file, address.port())?;
    }
    tracing::info!(%address, "listening");
    load_in_background(&service);
    let (app, router) = (service.app.clone(), service.router());
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
        _ = is_signalled => app.drain(),
    }
    // The listener is closed: who connects now is refused. Connections that are open finish what they asked.
    let drained = tokio::time::timeout(drain_timeout, serving).await;
    service.registry.close();
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

/// libtorch loads on a thread of its own; requests for a model that is not there yet get 503 meanwhile.
fn load_in_background(service: &Arc<Service>) {
    let service = Arc::clone(service);
    std::thread::spawn(move || {
        service.load();
        match service.registry.ready() {
            Ok(()) => tracing::info!("ready"),
            Err(error) => tracing::error!(%error, "not every required model could be loaded"),
        }
    });
}

/// Written beside and renamed, so that whoever waits for the file never reads half of it.
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
