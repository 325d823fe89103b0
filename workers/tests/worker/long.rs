//! Attempts that take long: kept alive, cancelled, timed out, cut short by the end of their worker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use headwater_core::protocol::{Held, Task, WorkReply, WorkRequest};
use headwater_core::{Json, LeaseToken, Timestamp};
use headwater_streams::cancel::{self, CancelNotice};
use headwater_workers::sdk::{Context, HandlerError, Outcome};
use tokio::sync::Semaphore;

use crate::house::{House, PATIENCE, Running, code, now, task};

async fn patient(context: Context, _: Json) -> Result<Outcome, HandlerError> {
    context.progress(&"half way");
    context.cancelled().await;
    Ok(Outcome::of(&"cancelled"))
}

fn held(request: &WorkRequest) -> Option<Vec<Held>> {
    match request {
        WorkRequest::Heartbeat { held } => Some(held.clone()),
        _ => None,
    }
}

#[tokio::test]
async fn a_long_attempt_is_said_to_run_kept_alive_and_stopped_when_the_shard_says_so() {
    let mut house = House::new().await;
    let mut running = Running::start(house.worker().handler("patient".parse().unwrap(), patient));
    house.hand(vec![task("patient", 3)]).await;
    let published_at = Instant::now();
    let mut started = None;
    let mut progress = None;
    let mut beats = 0;
    while started.is_none() || published_at.elapsed() < Duration::from_secs(3) {
        let (request, place) = house.request(|request| Some(request.clone())).await;
        let reply = match request {
            WorkRequest::Started { lease, .. } => {
                started = Some(lease);
                WorkReply::Accepted { next: Vec::new() }
            }
            WorkRequest::Heartbeat { held } => {
                beats += 1;
                assert_eq!(held.len(), 1);
                progress = progress.or(held[0].progress.clone());
                WorkReply::Alive { cancelled: Vec::new(), unclear: Vec::new(), stopping: Vec::new() }
            }
            other => panic!("{other:?}"),
        };
        house.answer(place, reply).await;
    }
    assert_eq!(started, Some(LeaseToken::from_bits(3)));
    assert_eq!(progress.unwrap().as_str(), r#""half way""#);
    assert!(beats >= 5);
    // Word of a cancellation makes the worker ask, and the answer counts.
    let notice = CancelNotice { run: task("patient", 3).run, node: "n".parse().unwrap() };
    cancel::announce(&house.broker, &"acme".parse().unwrap(), &notice).await.unwrap();
    let (held, place) = house.request(held).await;
    house
        .answer(place, WorkReply::Alive { cancelled: vec![held[0].lease], unclear: Vec::new(), stopping: Vec::new() })
        .await;
    running.ask_to_stop();
    running.stopped().await;
    assert!(house.open.iter().all(|(.., request)| !matches!(request, WorkRequest::Report { .. })));
}

#[tokio::test]
async fn an_attempt_that_takes_too_long_is_reported_and_its_handler_dropped() {
    let mut house = House::new().await;
    let dropped = Arc::new(Semaphore::new(0));
    let signal = dropped.clone();
    let stubborn = move |_: Context, _: Json| {
        let guard = SignalOnDrop(signal.clone());
        async move {
            std::future::pending::<()>().await;
            drop(guard);
            Ok::<_, HandlerError>(())
        }
    };
    let worker = house.worker().handler("stubborn".parse().unwrap(), stubborn);
    let _running = Running::start(worker.cancel_grace(Duration::from_millis(100)));
    let deadline = Some(now().after(Duration::from_millis(500)));
    house.hand(vec![Task { deadline, ..task("stubborn", 1) }]).await;
    let (report, _, place) = house.report().await;
    assert_eq!(code(&report), "timeout");
    house.accept(place, Vec::new()).await;
    tokio::time::timeout(PATIENCE, dropped.acquire()).await.unwrap().unwrap().forget();
    // Too late from the start: not even begun.
    house.hand(vec![Task { deadline: Some(Timestamp::from_micros(1)), ..task("stubborn", 2) }]).await;
    let (report, _, place) = house.report().await;
    assert_eq!(code(&report), "timeout");
    house.accept(place, Vec::new()).await;
}

pub struct SignalOnDrop(pub Arc<Semaphore>);

impl Drop for SignalOnDrop {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

#[tokio::test]
async fn a_worker_that_stops_finishes_what_it_can_and_says_what_it_could_not() {
    let mut house = House::new().await;
    let worker = house.worker().handler("patient".parse().unwrap(), patient).slots(1);
    let mut running = Running::start(worker.stop_grace(Duration::from_millis(200)));
    house.hand(vec![task("patient", 1), task("patient", 2)]).await;
    let (_, place) = house.request(held).await;
    house.answer(place, WorkReply::Alive { cancelled: Vec::new(), unclear: Vec::new(), stopping: Vec::new() }).await;
    running.ask_to_stop();
    let (report, _, place) = house.report().await;
    assert_eq!((code(&report), report.lease.bits()), ("worker_stopped", 1));
    house.accept(place, Vec::new()).await;
    // The other was never begun: it is given back.
    let returned = |request: &WorkRequest| match request {
        WorkRequest::Return { lease, .. } => Some(lease.bits()),
        _ => None,
    };
    let (lease, place) = house.request(returned).await;
    assert_eq!(lease, 2);
    house.accept(place, Vec::new()).await;
    running.stopped().await;
}
