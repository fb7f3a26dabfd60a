//! What every server of gRPC answers: whether it serves, and what it speaks.

mod health;
mod reflection;

use axum::Router;
use axum::routing::post;

use crate::transport::App;
use crate::transport::grpc::call;

/// The routes, which tell of `services` and of themselves.
pub fn routes(services: &[&'static str]) -> Router<App> {
    let services = [services, &[health::SERVICE], &reflection::SERVICES].concat();
    let known = services.clone();
    let mut routes = Router::new().route(
        &format!("/{}/Check", health::SERVICE),
        call(move |app, asked| health::check(app, asked, &known)),
    );
    let known = services.clone();
    routes = routes.route(
        &format!("/{}/Watch", health::SERVICE),
        post(async move |app, request| health::watch(app, request, &known).await),
    );
    for service in reflection::SERVICES {
        let services = services.clone();
        routes = routes.route(
            &format!("/{service}/ServerReflectionInfo"),
            post(async move |app, request| reflection::answer(app, request, services).await),
        );
    }
    routes
}
