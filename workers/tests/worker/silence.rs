//! `heartbeatTimeout`: handlers that give no sign of life are stopped, others are left alone.

use std::sync::Arc;
use std::time::Duration;

use headwater_core::definition::BuiltIn;
use headwater_core::protocol::{Task, Work};
use headwater_core::run::{Report, ReportOutcome};
use headwater_core::{Attempt, Json, LeaseToken};
use headwater_workers::actions::{self, ActionPolicy};
use headwater_workers::sdk::{Context, HandlerError, Outcome};
use tokio::sync::Semaphore;

use crate::house::{House, PATIENCE, Running, code, output, task};
use crate::long::SignalOnDrop;

fn within(ms: u64, task: Task) -> Task {
    Task { heartbeat_timeout_ms: Some(ms), ..task }
}

fn is_permanent(report: &Report) -> bool {
    matches!(report.outcome, ReportOutcome::Failed { permanent: true, .. })
}

#[tokio::test]
async fn a_silent_handler_is_cancelled_reported_and_dropped_and_the_next_attempt_has_its_own_clock() {
    let mut house = House::new().await;
    let (cancelled, dropped) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (cancelled_in, dropped_in) = (cancelled.clone(), dropped.clone());
    let silent = move |context: Context, _: Json| {
        let (cancelled, guard) = (cancelled_in.clone(), SignalOnDrop(dropped_in.clone()));
        async move {
            if context.attempt() == Attempt::FIRST {
                context.cancelled().await;
                cancelled.add_permits(1);
                std::future::pending::<()>().await;
            }
            drop(guard);
            Ok::<_, HandlerError>(Outcome::of(&"second time lucky"))
        }
    };
    let worker = house.worker().handler("silent".parse().unwrap(), silent);
    let _running = Running::start(worker.cancel_grace(Duration::from_millis(100)));
    house.hand(vec![within(400, task("silent", 1))]).await;
    let (report, _, place) = house.report().await;
    assert_eq!((code(&report), is_permanent(&report)), ("heartbeat_timeout", false));
    tokio::time::timeout(PATIENCE, cancelled.acquire()).await.unwrap().unwrap().forget();
    let again = Task { attempt: Attempt::new(2), lease: LeaseToken::from_bits(2), ..task("silent", 1) };
    house.accept(place, vec![within(400, again)]).await;
    let (report, _, place) = house.report().await;
    assert_eq!((output(&report), report.attempt), (r#""second time lucky""#, Attempt::new(2)));
    house.accept(place, Vec::new()).await;
    tokio::time::timeout(PATIENCE, dropped.acquire_many(2)).await.unwrap().unwrap().forget();
}

#[tokio::test]
async fn a_handler_that_beats_or_tells_its_progress_is_left_alone() {
    let mut house = House::new().await;
    // Twice as long as the timeout, with a beat many times within it.
    async fn beats(context: Context, progress: bool) -> Result<Outcome, HandlerError> {
        for n in 0..80 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if progress { context.progress(&n) } else { context.heartbeat() }
        }
        Ok(Outcome::of(&"done"))
    }
    let _running = Running::start(house.worker().handler("beats".parse().unwrap(), beats));
    let beating = |n: u32, progress: bool| within(2000, Task { input: Json::of(&progress), ..task("beats", n) });
    house.hand(vec![beating(1, false), beating(2, true)]).await;
    for _ in 0..2 {
        let (report, _, place) = house.report().await;
        assert_eq!(output(&report), r#""done""#);
        house.accept(place, Vec::new()).await;
    }
}

#[tokio::test]
async fn a_handler_that_falls_silent_later_is_stopped_also_where_it_keeps_a_thread_busy() {
    let mut house = House::new().await;
    async fn tires(context: Context, blocks: bool) -> Result<Outcome, HandlerError> {
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            context.heartbeat();
        }
        if blocks {
            return tokio::task::spawn_blocking(move || {
                while !context.is_cancelled() {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Ok(Outcome::nothing())
            })
            .await?;
        }
        std::future::pending().await
    }
    let worker = house.worker().handler("tires".parse().unwrap(), tires);
    let _running = Running::start(worker.cancel_grace(Duration::from_millis(100)));
    for (n, blocks) in [(1, false), (2, true)] {
        house.hand(vec![within(500, Task { input: Json::of(&blocks), ..task("tires", n) })]).await;
        let (report, _, place) = house.report().await;
        assert_eq!(code(&report), "heartbeat_timeout");
        house.accept(place, Vec::new()).await;
    }
}

#[tokio::test]
async fn what_a_command_writes_is_its_sign_of_life() {
    let mut house = House::new().await;
    let supervisor = Some(env!("CARGO_BIN_EXE_headwater-supervise").into());
    let policy = ActionPolicy { allow_processes: true, supervisor, ..ActionPolicy::default() };
    let worker = actions::serve(house.worker(), &policy).unwrap();
    let _running = Running::start(worker.cancel_grace(Duration::from_millis(100)));
    let command = |n: u32, line: &str| {
        let input = Json::of(&serde_json::json!({"command": line, "shell": true, "parse": "lines"}));
        let work = Work::BuiltIn(BuiltIn::Process);
        within(2000, Task { queue: actions::queue(), work, input, ..task("builtin", n) })
    };
    let chatty = "for n in 1 2 3 4 5 6 7 8 9 10; do echo $n; sleep 0.4; done";
    house.hand(vec![command(1, chatty)]).await;
    let (report, _, place) = house.report().await;
    assert!(output(&report).contains(r#""9","10""#), "{}", output(&report));
    house.accept(place, vec![command(2, "echo begun; sleep 600")]).await;
    let (report, _, place) = house.report().await;
    assert_eq!(code(&report), "heartbeat_timeout");
    house.accept(place, Vec::new()).await;
}
