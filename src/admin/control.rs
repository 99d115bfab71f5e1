//! The control socket: what the running proxy tells the commands and the console of this machine, as JSON over HTTP.
//!
//! A Unix socket with mode 0600, which answers root and the user of the process and nobody else (`SO_PEERCRED`). Paths
//! begin with a version; a field may be added to an answer, but none is renamed or taken away. It is never a reason for the
//! proxy not to run: where it cannot be made that is logged, once for each reason, and tried again.
//!
//! One request a connection, which has a bounded time. Nothing here can change anything yet.

mod answer;
mod listing;
mod parameters;
mod place;
mod status;
mod subject;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde::Serialize;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;

pub use answer::parted;
pub use place::make_folder;
pub use subject::{Subject, SubjectError};

use parameters::Parameters;
use place::{Place, Visitor};

use crate::domain::Domain;
use crate::limits;
use crate::net::settings::Listener;
use crate::net::world::World;

/// What the answers are made from. Clones share it.
#[derive(Debug, Clone)]
pub struct Sources(Arc<Known>);

#[derive(Debug)]
struct Known {
    world: Arc<World>,
    edge: Domain,
    listeners: Vec<Listener>,
    started: Instant,
    /// One walk over the shards at a time: whoever asks for another waits.
    walk: Mutex<()>,
}

impl Sources {
    /// Of a proxy that has just started and accepts at `listeners`.
    #[must_use]
    pub fn new(world: Arc<World>, edge: Domain, listeners: Vec<Listener>) -> Self {
        Self(Arc::new(Known {
            world,
            edge,
            listeners,
            started: crate::net::world::now(),
            walk: Mutex::default(),
        }))
    }
}

/// Answers at `path` until `stop` is cancelled.
pub async fn serve(path: PathBuf, sources: Sources, stop: CancellationToken) {
    let mut told = String::new();
    loop {
        match Place::open(&path).await {
            Ok(place) => {
                tracing::info!(path = %path.display(), "the control socket answers");
                told.clear();
                accept(&place, &sources, &stop).await;
            }
            Err(error) => {
                let error = error.to_string();
                if error != told {
                    tracing::error!("the proxy runs without its control socket: {error}");
                    told = error;
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}

/// Lets visitors in until it is told to stop, or the place is no longer ours.
async fn accept(place: &Place, sources: &Sources, stop: &CancellationToken) {
    let places = Arc::new(Semaphore::new(limits::CONTROL_CONNECTIONS));
    let mut look = tokio::time::interval(AGAIN);
    loop {
        let visitor = async {
            let one = Arc::clone(&places).acquire_owned().await;
            (one, place.accept().await)
        };
        let (one, accepted) = tokio::select! {
            () = stop.cancelled() => return,
            _ = look.tick() => match place.is_ours() {
                true => continue,
                false => {
                    tracing::warn!("the file of the control socket is gone; it is made again");
                    return;
                }
            },
            visitor = visitor => visitor,
        };
        let (stream, visitor) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "the control socket cannot accept");
                return;
            }
        };
        let sources = sources.clone();
        let supervisor = sources.0.world.supervisor.clone();
        supervisor.spawn("control", async move {
            let answered = tokio::time::timeout(limits::CONTROL_TIME, async {
                match visitor {
                    Visitor::Known => answer(stream, sources).await,
                    Visitor::Stranger(user) => {
                        tracing::warn!(
                            user,
                            "another user's process asked the control socket, and was refused"
                        );
                        refuse(stream).await;
                    }
                }
            });
            if answered.await.is_err() {
                tracing::debug!("who asked the control socket was too slow");
            }
            drop(one);
        });
    }
}

/// Answers one request.
async fn answer(stream: UnixStream, sources: Sources) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES)
        .keep_alive(false);
    let service = TowerToHyperService::new(routes(sources));
    if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a request at the control socket failed");
    }
}

/// Says no to whoever it is, whatever he wants; nothing of it is read.
async fn refuse(mut stream: UnixStream) {
    let body = r#"{"error":"only root and the user of the proxy may ask"}"#;
    let text = format!(
        "HTTP/1.1 403 Forbidden\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    // Who goes away without hearing it has missed nothing.
    let _written = stream.write_all(text.as_bytes()).await;
    let _closed = stream.shutdown().await;
}

fn routes(sources: Sources) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/subscriptions", get(subscriptions))
        .fallback(|| async { wrong(StatusCode::NOT_FOUND, "there is no such path") })
        .method_not_allowed_fallback(|| async {
            wrong(StatusCode::METHOD_NOT_ALLOWED, "it can only be read: GET")
        })
        .with_state(sources)
}

async fn status(State(sources): State<Sources>, RawQuery(query): RawQuery) -> Response {
    match Parameters::read(query.as_deref().unwrap_or_default(), []) {
        Ok([]) => json(StatusCode::OK, &status::of(&sources.0)),
        Err(why) => wrong(StatusCode::BAD_REQUEST, &why.to_string()),
    }
}

async fn subscriptions(State(sources): State<Sources>, RawQuery(query): RawQuery) -> Response {
    let wanted = match listing::Wanted::read(query.as_deref().unwrap_or_default()) {
        Ok(wanted) => wanted,
        Err(why) => return wrong(StatusCode::BAD_REQUEST, &why),
    };
    let _walk = sources.0.walk.lock().await;
    match tokio::time::timeout(WALK_TIME, listing::of(&sources.0.world, &wanted)).await {
        Ok(Some(listing)) => json(StatusCode::OK, &listing),
        Ok(None) => wrong(StatusCode::SERVICE_UNAVAILABLE, "the proxy is stopping"),
        Err(_) => wrong(
            StatusCode::GATEWAY_TIMEOUT,
            "the proxy is too busy to answer; ask again later",
        ),
    }
}

fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => (status, [(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn wrong(status: StatusCode, error: &str) -> Response {
    #[derive(Serialize)]
    struct Wrong<'a> {
        error: &'a str,
    }
    json(status, &Wrong { error })
}

/// The pause after which the socket is tried again, or looked at whether it is still there.
const AGAIN: Duration = Duration::from_secs(10);
/// Time for the head of a request.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// Octets of it: the least that the library takes, many times what a request needs.
const HEAD_BYTES: usize = 8_192;
/// Time for the answers of all shards: what is left of [`limits::CONTROL_TIME`] is for writing.
const WALK_TIME: Duration = Duration::from_secs(20);
