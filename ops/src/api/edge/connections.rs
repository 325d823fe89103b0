//! Connections: how many there may be, and how long one may keep us waiting. Whoever connects costs a descriptor and
//! some memory, so a connection that says nothing, says it slowly, or does not listen is closed.

mod patience;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use headwater_streams::complaints::Complaints;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::descriptors;
use patience::{Answering, Listening};

pub use patience::body_in_time;

/// How many connections there may be, and how long one may keep us waiting.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub connections_max: usize,
    /// Until a request's head is there: from the connection's begin, or from the end of the answer before.
    pub head_wait: Duration,
    /// Until a request's body is there.
    pub body_wait: Duration,
    /// Until somebody takes more of an answer.
    pub answer_wait: Duration,
}

/// For the broker, the database, and files.
const OTHER_DESCRIPTORS: u64 = 256;
const CONNECTIONS_MAX: u64 = 8_192;
/// What is kept of what a connection sends until it is read, the head of a request among it.
const READ_BYTES_MAX: usize = 64 * 1024;
/// How long to wait before the next try where the kernel has no connection to give.
const PAUSE: Duration = Duration::from_millis(100);

impl Limits {
    /// What fits the descriptors this process may have.
    pub fn of_this_process() -> Self {
        let descriptors = descriptors::limit().saturating_sub(OTHER_DESCRIPTORS).clamp(64, CONNECTIONS_MAX);
        Self {
            connections_max: usize::try_from(descriptors).unwrap_or(64),
            head_wait: Duration::from_secs(30),
            body_wait: Duration::from_secs(30),
            answer_wait: Duration::from_secs(30),
        }
    }
}

/// One connection, as the one who accepts them sees it.
struct Line {
    close: CancellationToken,
    /// Since when it waits for a request, by the clock of [`Lines`]; [`BUSY`] while one is answered.
    idle_since: Arc<AtomicU64>,
}

const BUSY: u64 = u64::MAX;

/// Accepts connections until `stop`, then waits until what is under way has ended. Where there are as many as there may
/// be, the one that waited longest for a request makes room; where none waits, the new one is closed.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    let mut lines: BTreeMap<u64, Line> = BTreeMap::new();
    let mut open: JoinSet<u64> = JoinSet::new();
    let clock = Arc::new(AtomicU64::new(0));
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = open.join_next() => {
                if let Ok(number) = ended {
                    lines.remove(&number);
                }
                continue;
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    static UNACCEPTED: Complaints = Complaints::new();
                    if let Some(count) = UNACCEPTED.due() {
                        tracing::warn!(%error, count, "a connection cannot be accepted");
                    }
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            }
        };
        if lines.len() >= limits.connections_max && !make_room(&mut lines) {
            continue;
        }
        let number = clock.fetch_add(1, Ordering::Relaxed);
        let line = Line { close: CancellationToken::new(), idle_since: Arc::new(AtomicU64::new(number)) };
        let answering = Answering { clock: clock.clone(), idle_since: line.idle_since.clone() };
        let (router, close, stop) = (router.clone(), line.close.clone(), stop.clone());
        lines.insert(number, line);
        open.spawn(async move {
            tokio::select! {
                () = close.cancelled() => {}
                () = carry(stream, router, limits, answering, stop) => {}
            }
            number
        });
    }
    drop(listener);
    while open.join_next().await.is_some() {}
}

/// Closes the line that has waited longest for a request; `false` where every one is busy.
fn make_room(lines: &mut BTreeMap<u64, Line>) -> bool {
    let idle = |(number, line): (&u64, &Line)| (line.idle_since.load(Ordering::Relaxed), *number);
    let longest = lines.iter().map(idle).min().filter(|(since, _)| *since != BUSY);
    let closed = longest.and_then(|(_, number)| lines.remove(&number));
    closed.inspect(|line| line.close.cancel()).is_some()
}

/// Answers what comes over one connection.
async fn carry(stream: TcpStream, router: Router, limits: Limits, answering: Answering, stop: CancellationToken) {
    // What is small goes at once.
    let _ = stream.set_nodelay(true);
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let answered = answering.begin();
        let response = router.call(Request::from(request.map(Body::new)));
        async move { Ok::<_, Infallible>(response.await?.map(|body| answered.until_end_of(body))) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.head_wait).max_buf_size(READ_BYTES_MAX);
    let io = TokioIo::new(Listening::new(stream, limits.answer_wait));
    let mut connection = std::pin::pin!(builder.serve_connection(io, service));
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection ended");
    }
}

#[cfg(test)]
mod tests;
