//! The management listener: `/metrics` for Prometheus, `/healthz` (alive) and `/readyz` (traffic can pass). What commands ask is
//! [`control`]'s.
//!
//! It never listens on an outside address; the configuration check sees to that.

pub mod control;

use std::future::Future;
use std::io;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::observe::{Health, Metrics};
use crate::supervise::Supervisor;

/// What the answers are made from.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// The state of health.
    pub health: Health,
    /// The tasks.
    pub supervisor: Supervisor,
}

/// Answers on `listener` until `stop` ends.
///
/// # Errors
/// Those of accepting.
pub async fn serve(
    listener: TcpListener,
    sources: Sources,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, routes(sources))
        .with_graceful_shutdown(stop)
        .await
}

fn routes(sources: Sources) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .with_state(sources)
}

async fn metrics(State(sources): State<Sources>) -> Response {
    match sources.metrics.text(&sources.health, sources.supervisor.alive()) {
        Ok(text) => (
            [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
            text,
        )
            .into_response(),
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("the metrics cannot be written: {error}\n"),
        )
            .into_response(),
    }
}

async fn ready(State(sources): State<Sources>) -> Response {
    match sources.health.ready() {
        Ok(()) => "ready\n".into_response(),
        Err(reasons) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("not ready: {}\n", reasons.join("; ")),
        )
            .into_response(),
    }
}
