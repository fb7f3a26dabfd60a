//! gRPC's protocol of health: <https://github.com/grpc/grpc/blob/master/doc/health-checking.md>

use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::stream;
use grpc_messages::Message;
use grpc_messages::health::health_check_response::ServingStatus;
use grpc_messages::health::{HealthCheckRequest, HealthCheckResponse};

use crate::error::{Error, Result, excerpt};
use crate::transport::App;
use crate::transport::grpc::{self, Messages};

/// The name of the service.
pub(super) const SERVICE: &str = "grpc.health.v1.Health";

/// How often it is looked whether a state has changed.
const LOOK: Duration = Duration::from_millis(250);

fn is_known(service: &str, known: &[&str]) -> bool {
    service.is_empty() || known.contains(&service)
}

fn status(app: &App) -> ServingStatus {
    match app.service.ready() {
        Ok(()) => ServingStatus::Serving,
        Err(_) => ServingStatus::NotServing,
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status as i32,
    }
}

/// Whether the server serves: all services are as ready as it is.
#[expect(clippy::needless_pass_by_value, reason = "as every method gets its message")]
pub(super) fn check(app: &App, asked: HealthCheckRequest, known: &[&str]) -> Result<HealthCheckResponse> {
    if !is_known(&asked.service, known) {
        let name = excerpt(&asked.service);
        return Err(Error::ModelNotFound(format!(
            "there is no service {name}; there are {}",
            known.join(", ")
        )));
    }
    Ok(response(status(app)))
}

/// The state at once, and every change of it.
pub(super) async fn watch(State(app): State<App>, request: Request, known: &[&str]) -> Result<Response> {
    let mut messages = Messages::of(app.clone(), request)?;
    let message = messages.next().await?;
    let asked: HealthCheckRequest = grpc::small(message.unwrap_or_default())?;
    let is_known = is_known(&asked.service, known);
    let states = stream::unfold((None, messages), move |(last, messages)| {
        let app = app.clone();
        async move {
            let mut looks = tokio::time::interval(LOOK);
            let _rests = messages.rest();
            loop {
                looks.tick().await;
                let now = if is_known {
                    status(&app)
                } else {
                    ServingStatus::ServiceUnknown
                };
                if last != Some(now) {
                    let message = response(now).encode_to_vec().into();
                    return Some((Ok(message), (Some(now), messages)));
                }
            }
        }
    });
    Ok(grpc::stream(states, |_| {}))
}
