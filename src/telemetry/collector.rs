//! The way to a collector of traces: HTTP, from a thread that may wait.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use opentelemetry_http::{HttpClient, HttpError, Request, Response};

use crate::outbound;

/// The HTTP client of the exporter of spans. It logs the first of several failures alone.
#[derive(Debug)]
pub(super) struct Collector {
    agent: ureq::Agent,
    /// Whether it was logged that it takes nothing.
    fails: AtomicBool,
}

impl Collector {
    /// A way to a collector, which may take so long for what it is told at a time.
    pub(super) fn new(patience: Duration) -> Self {
        let agent = outbound::requests(patience)
            .http_status_as_error(false)
            .build()
            .new_agent();
        Self {
            agent,
            fails: AtomicBool::new(false),
        }
    }

    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, ureq::Error> {
        /// Of an answer, which says little.
        const MOST: u64 = 64 << 10;
        let (parts, body) = request.into_parts();
        let request = ureq::http::Request::from_parts(parts, &body[..]);
        let (parts, mut body) = self.agent.run(request)?.into_parts();
        let said = body.with_config().limit(MOST).read_to_vec()?;
        Ok(Response::from_parts(parts, said.into()))
    }

    /// Logs that the collector takes nothing, or takes it again: once, however often it is tried.
    fn note(&self, why: Option<String>) {
        let failed = self.fails.swap(why.is_some(), Ordering::Relaxed);
        match why {
            Some(why) if !failed => {
                tracing::warn!("traces are lost: the collector does not take them: {why}");
            }
            None if failed => tracing::info!("the collector takes traces again"),
            _ => {}
        }
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.send(request);
        self.note(match &answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answers {}", answer.status())),
            Err(error) => Some(error.to_string()),
        });
        Ok(answer?)
    }
}
