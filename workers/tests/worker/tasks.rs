//! What becomes of tasks: run, reported, acknowledged, claimed, and how many at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use headwater_core::definition::BuiltIn;
use headwater_core::protocol::{Held, Task, Work, WorkReply, WorkRequest};
use headwater_core::run::ReportOutcome;
use headwater_core::shard::Rejection;
use headwater_core::{Json, LeaseToken};
use headwater_streams::work;
use headwater_workers::actions::{self, ActionPolicy};
use headwater_workers::sdk::{Context, HandlerError, Outcome};
use tokio::sync::Semaphore;

use crate::house::{House, PATIENCE, Running, code, double, output, shard, task};

#[tokio::test]
async fn a_task_is_run_and_reported_and_the_next_comes_with_the_answer() {
    let mut house = House::new().await;
    let mut running = Running::start(house.worker().handler("double".parse().unwrap(), double));
    house.hand(vec![task("double", 21)]).await;
    let (report, _, place) = house.report().await;
    assert_eq!((output(&report), report.lease), ("42", LeaseToken::from_bits(21)));
    house.accept(place, vec![task("double", 5)]).await;
    let (report, _, place) = house.report().await;
    assert_eq!(output(&report), "10");
    house.accept(place, Vec::new()).await;
    running.ask_to_stop();
    running.stopped().await;
}

#[tokio::test]
async fn every_way_to_fail_has_its_code() {
    let mut house = House::new().await;
    async fn fails(_: Context, n: u32) -> Result<Outcome, HandlerError> {
        match n {
            0 => Err(HandlerError::new("no_luck", "none at all").permanent()),
            1 => panic!("really"),
            2 => Ok(Outcome::of(&"x".repeat(2_000_000))),
            3 => Err("x".parse::<u32>().unwrap_err().into()),
            4 => {
                tokio::task::yield_now().await;
                panic!("later");
            }
            _ => unreachable!(),
        }
    }
    async fn picky(_: Context, _: Vec<String>) -> Result<Outcome, HandlerError> {
        unreachable!("its input is a number")
    }
    let worker = house.worker().handler("fails".parse().unwrap(), fails).handler("picky".parse().unwrap(), picky);
    let _running = Running::start(worker);
    for (n, code_wanted) in ["no_luck", "panic", "output_too_large", "handler_error", "panic"].iter().enumerate() {
        house.hand(vec![task("fails", n as u32)]).await;
        let (report, _, place) = house.report().await;
        assert_eq!(code(&report), *code_wanted);
        house.accept(place, Vec::new()).await;
    }
    house.hand(vec![task("picky", 9)]).await;
    let (report, _, place) = house.report().await;
    assert!(
        matches!(report.outcome, ReportOutcome::Failed { ref code, permanent: true, .. } if code == "input_invalid")
    );
    house.accept(place, Vec::new()).await;
}

#[tokio::test]
async fn reports_that_wait_together_go_in_one_frame_and_one_frame_is_under_way() {
    let mut house = House::new().await;
    let done = Arc::new(AtomicU32::new(0));
    let counted = done.clone();
    let count = move |_: Context, n: u32| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move { Ok::<_, HandlerError>(Outcome::of(&n)) }
    };
    let _running = Running::start(house.worker().handler("count".parse().unwrap(), count).slots(200));
    let session = house.greeted().await;
    house.hand_to(session, vec![task("count", 1)]).await;
    let (_, _, first) = house.report().await;
    // While the first frame is not answered, the others gather.
    house.hand_to(session, (2..=100).map(|n| task("count", n)).collect()).await;
    let gathered = async {
        while done.load(Ordering::SeqCst) < 100 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gathered).await.unwrap();
    assert!(house.shard.try_next().is_none());
    house.accept(first, Vec::new()).await;
    let before = house.frames_seen;
    for _ in 2..=100 {
        let (_, _, place) = house.report().await;
        house.accept(place, Vec::new()).await;
    }
    let frames = house.frames_seen - before;
    assert!(frames <= 10, "{frames} frames for 99 reports");
}

#[tokio::test]
async fn a_report_is_offered_under_the_same_id_until_it_is_answered() {
    let mut house = House::new().await;
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    let count = move |_: Context, n: u32| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move { Ok::<_, HandlerError>(Outcome::of(&n)) }
    };
    let _running = Running::start(house.worker().handler("count".parse().unwrap(), count));
    house.hand(vec![task("count", 7)]).await;
    let (_, first, place) = house.report().await;
    house.answer(place, WorkReply::Refused { rejection: Rejection::NotOwner }).await;
    let (_, second, place) = house.report().await;
    house.answer(place, WorkReply::Refused { rejection: Rejection::Overloaded }).await;
    // The owner goes, and another comes after a while in which nobody serves the shard.
    let (_, third, place) = house.report().await;
    house.frames.remove(&place.0);
    house.shard.stop().await;
    house.shard = work::hear_frames(&house.broker, shard()).await.unwrap();
    let (report, fourth, place) = house.report().await;
    assert_eq!([first; 3], [second, third, fourth]);
    assert_eq!(output(&report), "7");
    house.accept(place, Vec::new()).await;
    assert_eq!(runs.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_task_that_is_handed_over_again_is_begun_once_and_spoken_of() {
    let mut house = House::new().await;
    let begun = Arc::new(AtomicU32::new(0));
    let counted = begun.clone();
    let wait = move |context: Context, _: Json| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move {
            context.cancelled().await;
            Ok::<_, HandlerError>(())
        }
    };
    let _running = Running::start(house.worker().handler("wait".parse().unwrap(), wait));
    let session = house.greeted().await;
    house.hand_to(session, vec![task("wait", 1)]).await;
    house.hand_to(session, vec![task("wait", 1)]).await;
    let (held, place) = house.request(held).await;
    assert_eq!(held.iter().map(|held| held.lease.bits()).collect::<Vec<_>>(), [1]);
    house.answer(place, WorkReply::Alive { cancelled: Vec::new(), unclear: Vec::new(), stopping: Vec::new() }).await;
    // An old message that comes late is not listened to.
    house.hand_late(session, vec![task("wait", 9)]).await;
    let (held, _) = house.request(self::held).await;
    assert_eq!(held.iter().map(|held| held.lease.bits()).collect::<Vec<_>>(), [1]);
    assert_eq!(begun.load(Ordering::SeqCst), 1);
}

fn held(request: &WorkRequest) -> Option<Vec<Held>> {
    match request {
        WorkRequest::Heartbeat { held } => Some(held.clone()),
        _ => None,
    }
}

#[tokio::test]
async fn a_task_that_had_to_wait_is_asked_for_before_it_is_begun() {
    let mut house = House::new().await;
    // What is done at once holds no slot; this takes a while.
    let slow = |context: Context, n: u32| async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        double(context, n).await
    };
    let _running = Running::start(house.worker().handler("double".parse().unwrap(), slow).slots(1));
    let gate = house.greeted().await;
    // More than was lent: two wait for the slot of the first.
    house.hand_to(gate, vec![task("double", 1), task("double", 2), task("double", 3)]).await;
    let (report, _, place) = house.report().await;
    assert_eq!(report.lease.bits(), 1);
    house.accept(place, Vec::new()).await;
    let (asked, place) = house.request(held).await;
    let lease = asked.iter().map(|held| held.lease).find(|lease| lease.bits() == 2).expect("the next one is asked for");
    house.answer(place, WorkReply::Alive { cancelled: vec![lease], unclear: Vec::new(), stopping: Vec::new() }).await;
    let (report, _, place) = house.report().await;
    assert_eq!((output(&report), report.lease.bits()), ("6", 3), "what is not wanted any more is not begun");
    house.accept(place, Vec::new()).await;
}

#[tokio::test]
async fn an_answer_that_a_later_message_overtook_still_brings_its_tasks() {
    let mut house = House::new().await;
    let _running = Running::start(house.worker().handler("double".parse().unwrap(), double).slots(4));
    let session = house.greeted().await;
    house.hand_to(session, vec![task("double", 1)]).await;
    let (report, _, (frame, _)) = house.report().await;
    assert_eq!(report.lease.bits(), 1);
    house.accept_overtaken(frame, vec![task("double", 2)], session, vec![task("double", 3)]).await;
    let mut came = Vec::new();
    for _ in 0..2 {
        let (report, _, place) = house.report().await;
        came.push(report.lease.bits());
        house.accept(place, Vec::new()).await;
    }
    assert_eq!(came, [2, 3], "neither is thrown away, and in the order in which they were sent");
}

#[tokio::test]
async fn a_worker_lends_what_it_has_free_and_no_more() {
    let mut house = House::new().await;
    let _running = Running::start(house.worker().handler("double".parse().unwrap(), double).slots(3));
    let session = house.greeted().await;
    // Nothing is lent before the shard has spoken.
    house.hand_to(session, Vec::new()).await;
    assert_eq!(house.credit().await, 3);
    house.hand_to(session, vec![task("double", 1)]).await;
    let (_, _, place) = house.report().await;
    assert_eq!(house.lent, 4, "the slot of what is reported is lent again with the report");
    house.accept(place, Vec::new()).await;
}

#[tokio::test]
async fn no_more_attempts_run_at_once_than_there_are_slots() {
    let mut house = House::new().await;
    let (gate, most, at_once) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (gate_in, most_in, at_once_in) = (gate.clone(), most.clone(), at_once.clone());
    let wait = move |_: Context, _: Json| {
        let (gate, most, at_once) = (gate_in.clone(), most_in.clone(), at_once_in.clone());
        async move {
            most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            gate.acquire().await.unwrap().forget();
            at_once.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, HandlerError>(())
        }
    };
    let _running = Running::start(house.worker().handler("wait".parse().unwrap(), wait).slots(3));
    house.hand((0..6).map(|n| task("wait", n)).collect()).await;
    let full = async {
        while at_once.load(Ordering::SeqCst) < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, full).await.unwrap();
    gate.add_permits(20);
    for n in 0..6 {
        let (_, _, place) = house.report().await;
        // More than was asked for: the surplus waits its turn.
        let next = if n == 0 { (10..16).map(|n| task("wait", n)).collect() } else { Vec::new() };
        house.accept(place, next).await;
    }
    for _ in 0..6 {
        let (_, _, place) = house.report().await;
        house.accept(place, Vec::new()).await;
    }
    assert!(most.load(Ordering::SeqCst) <= 3);
}

#[tokio::test]
async fn built_in_actions_are_handlers_like_others() {
    let mut house = House::new().await;
    let supervisor = Some(env!("CARGO_BIN_EXE_headwater-supervise").into());
    let policy = ActionPolicy { allow_processes: true, supervisor, ..ActionPolicy::default() };
    let _running = Running::start(actions::serve(house.worker(), &policy).unwrap());
    let built_in = |action: BuiltIn, n: u32, input: serde_json::Value| Task {
        queue: actions::queue(),
        work: Work::BuiltIn(action),
        input: Json::of(&input),
        ..task("builtin", n)
    };
    let echo = built_in(BuiltIn::Process, 1, serde_json::json!({"command": ["echo", "hello"]}));
    house.hand(vec![echo]).await;
    let (report, _, place) = house.report().await;
    assert_eq!(output(&report), r#"{"exitCode":0,"stdout":"hello\n","stderr":"","truncated":false}"#);
    let local = built_in(BuiltIn::HttpRequest, 2, serde_json::json!({"url": "http://169.254.169.254/"}));
    house.accept(place, vec![local]).await;
    let (report, _, place) = house.report().await;
    assert_eq!(code(&report), "http_forbidden_target");
    house.accept(place, Vec::new()).await;
}
