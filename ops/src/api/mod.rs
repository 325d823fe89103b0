//! What HTTP clients can ask: commands go to the shards, reads to the read models, never the other way round.
//!
//! | module | question it answers |
//! |---|---|
//! | `routes` | which paths there are |
//! | `edge` | what a request says, what is refused at once, what an answer looks like |
//! | `workflow`, `action`, `run`, `task`, `asset`, `queue`, `quarantine`, `hold`, `projection` | a resource: its routes, its answers, its piece of the OpenAPI document |
//! | `operations` | how the process is, and what its codes mean |
//! | `shards` | which shard decides for what, and where journals end |
//! | `readable` | when what was written can be read |
//! | `settled` | as of which moment the catalogue can be read |
//! | `openapi` | what all this is in the words of OpenAPI |

mod action;
mod asset;
mod callback;
mod edge;
mod hold;
mod incarnation;
mod openapi;
mod operations;
mod projection;
mod quarantine;
mod queue;
mod readable;
mod routes;
mod run;
mod settled;
mod shards;
mod task;
mod workflow;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use headwater_core::shard::Position;
use headwater_core::{CommandId, ShardId};
use headwater_projector::Observer;
use headwater_projector::live::{Hub, Live};
use headwater_projector::queries::Reads;
use headwater_streams::clock::now;
use headwater_streams::complaints::Complaints;
use headwater_streams::definitions::Definitions;
use headwater_streams::duty::{self, Duty};
use headwater_streams::journals::{JetStreamJournals, Journals as _};
use headwater_streams::{Broker, shard_map};
use headwater_workers::shard_worker::ShardCounters;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use crate::codes::Code;
use crate::process::{Process, ServeError};
use connections::Limits;
use edge::{admission, answer, asked, body, catalogue, connections, problem, reading, token, turns};
use incarnation::Incarnations;
use operations::metrics::Metrics;
use projection::lag;
use projection::view::ProjectionView;
use shards::{HEAD_WAIT, Shards};
use token::Token;
use turns::Turns;
use workflow::catalog;
use workflow::known::Workflows;

pub use admission::Admission;
pub use body::BYTES_MAX as BODY_BYTES_MAX;
pub use openapi::document as openapi_document;
pub use problem::Problem;
pub use routes::paths;
pub use workflow::batch;

/// What every handler shares.
pub struct Api {
    broker: Broker,
    shards: Shards,
    reads: Reads,
    projection: ProjectionView,
    workflows: Workflows,
    turns: Turns,
    counters: Arc<ShardCounters>,
    metrics: Metrics,
    /// Long answers end when this process stops.
    stopping: CancellationToken,
}

/// How long a command may take until it counts as indeterminate.
const COMMAND_WAIT: Duration = Duration::from_secs(10);
/// How long a read waits for the projection.
const CATCH_UP_WAIT: Duration = Duration::from_secs(5);
/// How long what is under way may take once this process is asked to stop.
const STOP_WAIT: Duration = Duration::from_secs(5);

impl Api {
    /// Waits until the read models contain what the token stands for. One that names what nobody has written is refused
    /// at once.
    async fn catch_up(&self, token: &Token) -> Result<(), Problem> {
        for &position in token.positions() {
            if !self.shards.has(position.shard) {
                return Err(Problem::new(Code::InvalidToken, format!("there is no shard {}", position.shard)));
            }
            self.shards.incarnations.check(position).await?;
            self.refuse_future(position).await?;
        }
        self.see(token, CATCH_UP_WAIT).await
    }

    /// Waits until the read models contain what the token stands for.
    async fn see(&self, token: &Token, within: Duration) -> Result<(), Problem> {
        let deadline = tokio::time::Instant::now() + within;
        for &position in token.positions() {
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            self.projection.wait_for(position, left).await?;
        }
        Ok(())
    }

    /// Refuses a position ahead of the end of its journal, which is asked once where nothing here has been as far.
    async fn refuse_future(&self, position: Position) -> Result<(), Problem> {
        let Position { shard, sequence } = position;
        if self.projection.has_seen(position) {
            return Ok(());
        }
        match tokio::time::timeout(HEAD_WAIT, self.shards.journals.head(shard)).await {
            Ok(Ok(head)) if head < sequence.in_stream() => {
                let detail =
                    format!("{position} is ahead of everything that was written: shard {shard} ends at {head}");
                Err(Problem::new(Code::InvalidToken, detail))
            }
            // A broker that does not answer says nothing about the token.
            Ok(Ok(_) | Err(_)) | Err(_) => Ok(()),
        }
    }
}

/// Answers requests until `stop`; then what is under way may end.
///
/// # Errors
/// [`ServeError::DatabaseMissing`] without a database, or what the socket says.
pub async fn serve(
    listener: TcpListener,
    process: &Process,
    admission: Admission,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let database = process.database.clone().ok_or(ServeError::DatabaseMissing)?;
    let reads = Reads::of(database.clone());
    let limits = Limits::of_this_process();
    let shards: Vec<_> = (0..process.map.shards).map(ShardId::new).collect::<Result<_, _>>()?;
    // Another process projects: its database is looked at for all who wait.
    let observer = process.progress.is_none().then(|| Observer::new(database, &shards));
    let observed = observer.as_ref().map(Observer::progress);
    let progress = process.progress.clone().or(observed).expect("where nobody projects here, it is observed");
    let live = Live::default();
    let hub = Hub::new(&live, reads.clone(), progress.clone());
    let (lag, lag_watch) = lag::view(process, &reads);
    let (tell, known) = watch::channel(Vec::new());
    let api = Arc::new(Api {
        broker: process.broker.clone(),
        shards: Shards::new(process, Incarnations::new(known, JetStreamJournals::new(&process.broker))),
        reads,
        projection: ProjectionView::new(progress, process.progress.clone(), live, lag),
        workflows: Workflows::new(Definitions::new(&process.broker)),
        turns: Turns::new(run::FOLLOWERS_MAX.min(limits.connections_max / 2)),
        counters: process.counters.clone(),
        metrics: Metrics::new(),
        stopping: stop.clone(),
    });
    let mut aides = JoinSet::new();
    let (catalog, definitions) = (api.workflows.catalog.clone(), api.workflows.definitions.clone());
    let stopping = stop.clone();
    aides.spawn(duty::keep(Duty::Catalog, move || {
        catalog::watch(catalog.clone(), definitions.clone(), stopping.clone())
    }));
    let broker = process.broker.clone();
    let follow = move || shard_map::follow_incarnations(broker.clone(), tell.clone());
    aides.spawn(duty::keep(Duty::Incarnations, follow));
    let stopping = stop.clone();
    aides.spawn(duty::keep(Duty::ReadLag, move || lag_watch.clone().run(stopping.clone())));
    let stopping = stop.clone();
    aides.spawn(duty::keep(Duty::Live, move || hub.clone().run(stopping.clone())));
    if let Some(observer) = observer {
        let stopping = stop.clone();
        aides.spawn(duty::keep(Duty::Observer, move || observer.clone().run(stopping.clone())));
    }
    let graceful = connections::serve(listener, router(api, admission, limits.body_wait), limits, stop.clone());
    let late = async {
        stop.cancelled().await;
        tokio::time::sleep(STOP_WAIT).await;
    };
    tokio::select! {
        () = graceful => {}
        () = late => tracing::warn!("some requests did not end in time"),
    }
    aides.shutdown().await;
    Ok(())
}

/// Every route, with what goes for all of them.
fn router(api: Arc<Api>, admission: Admission, body_wait: Duration) -> Router {
    let mut router = Router::new();
    for route in routes::all() {
        let patience = middleware::from_fn_with_state(route.patience, within);
        let body = middleware::from_fn_with_state(route.body_wait.unwrap_or(body_wait), connections::body_in_time);
        router = router.route(route.path, route.handler.layer(patience).layer(body));
    }
    router
        .fallback(route_not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(Arc::new(admission), admission::admit))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(api.clone(), measure))
        .with_state(api)
}

/// Ends a request that takes too long. What it began goes on to its end elsewhere.
async fn within(State(patience): State<Duration>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(patience, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(Code::TimedOut, format!("no answer within {} s", patience.as_secs())).into_response(),
    }
}

async fn measure(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let method = request.method().clone();
    let began = std::time::Instant::now();
    let response = next.run(request).await;
    api.metrics.request(&method, route.as_deref(), response.status(), began.elapsed());
    response
}

async fn route_not_found(request: Request) -> Problem {
    let path: String = request.uri().path().chars().take(200).collect();
    Problem::new(Code::RouteNotFound, format!("there is nothing at {path}"))
}

async fn method_not_allowed(request: Request) -> Problem {
    Problem::new(Code::MethodNotAllowed, format!("{} is not a method of this path", request.method()))
}

fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    static PANICKED: Complaints = Complaints::new();
    if let Some(count) = PANICKED.due() {
        tracing::error!(panic = said.unwrap_or("no text"), count, "a handler panicked");
    }
    Problem::new(Code::Internal, "a handler panicked").into_response()
}

fn fresh_command() -> CommandId {
    CommandId::from_uuid(uuid::Uuid::new_v4())
}
