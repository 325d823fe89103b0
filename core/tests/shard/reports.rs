//! What workers in every language write: what cannot be read fails its attempt, says where and why, and nothing else.

use headwater_core::asset::AssetEvent;
use headwater_core::protocol::{ReadFrame, Task, WorkRequest};
use headwater_core::run::{Report, ReportOutcome, RunCommand, RunEvent};
use headwater_core::shard::{Command, Event};
use headwater_core::{RunFailure, Timestamp};
use serde_json::json;

use crate::world::{World, chain};

fn written(task: &Task, started_at: &str, outcome: &str) -> String {
    format!(
        r#"{{"node":"{}","attempt":{},"lease":"{}","worker":"w","startedAt":{started_at},"outcome":{outcome}}}"#,
        task.node, task.attempt, task.lease
    )
}

/// Reports what a worker wrote.
fn report(world: &mut World, task: &Task, outcome: &str) {
    let written = written(task, "1750000000000000", outcome);
    let report: Report = serde_json::from_str(&written).unwrap_or_else(|error| panic!("{error}: {outcome}"));
    world.decide(Command::Run { run: task.run, command: RunCommand::ReportAttempt(report) }).unwrap();
}

fn producing() -> World {
    World::with(&json!({"slug": "make", "steps": [
        {"id": "a", "jobSlug": "work", "retry": {"maxAttempts": 3}, "produces": [{"assetId": "x.y", "optional": true}]}]}))
}

fn failure(world: &World) -> RunFailure {
    let events = world.commits.iter().flat_map(|commit| &commit.events);
    let mut failures = events.filter_map(|event| match event {
        Event::Run(RunEvent::AttemptFailed { failure, .. }) => Some(failure.clone()),
        _ => None,
    });
    failures.next_back().expect("an attempt failed")
}

fn asset(fields: &str) -> String {
    format!(r#"{{"succeeded":{{"output":1,"assets":[{{"assetId":"x.y","payload":1,{fields}}}]}}}}"#)
}

#[test]
fn a_report_that_cannot_be_read_fails_its_attempt_for_good_and_says_why() {
    let long = format!(r#""partitionKey":"{}""#, "x".repeat(201));
    let deep = format!(r#"{{"succeeded":{{"output":{}1{}}}}}"#, "[".repeat(70), "]".repeat(70));
    let cases = [
        (r#"{"succeeded":{"output":{"s":"\ud83d"}}}"#.into(), "output_invalid", "/outcome/succeeded/output/s"),
        (r#"{"succeeded":{"output":{"s":1e400}}}"#.into(), "output_invalid", "1e400 is outside the range of a double"),
        (r#"{"succeeded":{"output":{"s":1e-400}}}"#.into(), "output_invalid", "1e-400"),
        (r#"{"succeeded":{"output":[1,{"s":1,"s":2}]}}"#.into(), "output_invalid", "/outcome/succeeded/output/1"),
        (
            r#"{"succeeded":{"output":{"s":123456789012345678901}}}"#.into(),
            "output_invalid",
            "outside the 64-bit range",
        ),
        (r#"{"succeeded":{"output":"\u0000"}}"#.into(), "output_invalid", "U+0000"),
        (deep, "output_invalid", "nested deeper"),
        (asset(r#""schema":{"x":1e999}"#), "output_invalid", "/outcome/succeeded/assets/0/schema/x"),
        (r#"{"failed":{"code":"x","message":"\ud83d"}}"#.into(), "output_invalid", "/outcome/failed/message"),
        (asset(r#""partition":"2026-11-21""#), "result_invalid", "did you mean `partitionKey`?"),
        (asset(r#""partition_key":"2026-11-21""#), "result_invalid", "did you mean `partitionKey`?"),
        (asset(r#""produced_at":1"#), "result_invalid", "did you mean `producedAt`?"),
        (
            asset(r#""note":1"#),
            "result_invalid",
            "/outcome/succeeded/assets/0 has a field `note`, which does not exist",
        ),
        (asset(r#""partitionKey":"""#), "partition_key", "/outcome/succeeded/assets/0/partitionKey"),
        (asset(r#""partitionKey":"*""#), "partition_key", "printable characters"),
        (asset(r#""partitionKey":"a\tb""#), "partition_key", "printable characters"),
        (asset(r#""partitionKey":1"#), "partition_key", "it is not a text"),
        (asset(r#""partitionKey":true"#), "partition_key", "it is not a text"),
        (asset(&long), "partition_key", "1-200"),
        (asset(r#""freshness":{"tl":"1d"}"#), "result_invalid", "did you mean `ttl`?"),
        (asset(r#""freshness":{"ttl":"soon"}"#), "result_invalid", "/outcome/succeeded/assets/0/freshness/ttl"),
        (asset(r#""freshness":{"maxAgeMs":0}"#), "result_invalid", "/outcome/succeeded/assets/0/freshness/maxAgeMs"),
        (asset(r#""freshness":{"ttl":"1d","ttlMs":1}"#), "result_invalid", "/outcome/succeeded/assets/0/freshness/ttl"),
        (asset(r#""freshness":"1d""#), "result_invalid", "/outcome/succeeded/assets/0/freshness"),
        (asset(r#""freshness":[]"#), "result_invalid", "/outcome/succeeded/assets/0/freshness"),
        (asset(r#""producedAt":1764100000000000000"#), "result_invalid", "up to the year 9999"),
        (asset(r#""producedAt":1764100000000"#), "result_invalid", "/outcome/succeeded/assets/0/producedAt"),
        (asset(r#""producedAt":1764100000"#), "result_invalid", "is 1764100000, which is 1970-01-01"),
        (asset(r#""producedAt":1.5e15"#), "result_invalid", "whole microseconds"),
        (asset(r#""producedAt":-1"#), "result_invalid", "whole microseconds"),
        (asset(r#""producedAt":"2025-02-01""#), "result_invalid", "is not a time"),
        (asset(r#""producedAt":"1969-12-31T23:59:59Z""#), "result_invalid", "1970 to 9999"),
        (asset(r#""producedAt":[]"#), "result_invalid", "producedAt"),
        (asset(r#""producedAt":"2199-01-01T00:00:00Z""#), "result_invalid", "in the future"),
        (
            r#"{"succeeded":{"output":1,"assets":null}}"#.into(),
            "result_invalid",
            "/outcome/succeeded/assets is not a list",
        ),
        (
            r#"{"succeeded":{"output":1,"assets":[1]}}"#.into(),
            "result_invalid",
            "/outcome/succeeded/assets/0 is not an object",
        ),
        (r#"{"succeeded":{"output":1,"assets":[{"assetId":"x.y"}]}}"#.into(), "result_invalid", "has no `payload`"),
        (
            r#"{"succeeded":{"output":1,"assets":[{"asset":"x.y"}]}}"#.into(),
            "result_invalid",
            "did you mean `assetId`?",
        ),
        (
            r#"{"succeeded":{"output":1,"assets":[{"assetId":"*","payload":1}]}}"#.into(),
            "result_invalid",
            "not a valid asset id",
        ),
        (r#"{"succeeded":{}}"#.into(), "result_invalid", "/outcome/succeeded has no `output`"),
        (r#"{"succeeded":{"output":1,"results":1}}"#.into(), "result_invalid", "`results`"),
        (r#"{"succeeded":null}"#.into(), "result_invalid", "/outcome/succeeded is not an object"),
        (r#"{"failed":{"code":"x"}}"#.into(), "result_invalid", "/outcome/failed has no `message`"),
        (r#"{"failed":{"code":1,"message":"m"}}"#.into(), "result_invalid", "/outcome/failed/code is not a text"),
        (r#"{"failed":{"code":"x","message":"m","permanent":"yes"}}"#.into(), "result_invalid", "permanent"),
        (r#"{"succeded":{"output":1}}"#.into(), "result_invalid", "did you mean `succeeded`?"),
        (r#"{"succeeded":{"output":1},"failed":{"code":"x","message":"m"}}"#.into(), "result_invalid", "/outcome"),
        ("{}".into(), "result_invalid", "is not either"),
        ("7".into(), "result_invalid", "/outcome is not an object"),
    ];
    for (outcome, code, message) in cases {
        let mut world = producing();
        let run = world.start("make", json!({}));
        let task = world.tasks().remove(0);
        report(&mut world, &task, &outcome);
        let expected = format!("started a:try1 a:failed({code}) a:dead({code}) FAILED({code})");
        assert_eq!(world.timeline(run), expected, "{outcome}");
        let failure = failure(&world);
        assert!(failure.message.contains(message), "{outcome}: {}", failure.message);
        assert!(failure.message.len() < 1_000, "{}", failure.message.len());
    }
}

#[test]
fn what_was_a_good_report_is_one() {
    let cases = [
        r#"{"succeeded":{"output":{"rows":3},"assets":[]}}"#,
        r#"{"succeeded":{"output":null}}"#,
        r#"{"succeeded":{"output":[0.1,1e20,-0,"\ud83d\ude00"]}}"#,
        r#" { "succeeded" : { "assets" : [ ] , "output" : 1 } } "#,
        r#"{"succeeded":{"output":1,"assets":[{"assetId":"x.y","payload":null,"producedAt":null,"partitionKey":null,"schema":null,"freshness":null}]}}"#,
        r#"{"succeeded":{"output":1,"assets":[{"assetId":"x.y","payload":1,"producedAt":1750000000000000,"partitionKey":"a b/ü","schema":{},"freshness":{"ttlMs":5}}]}}"#,
        r#"{"succeeded":{"output":1,"assets":[{"assetId":"x.y","payload":1,"producedAt":"1980-01-01T00:00:00+01:00"}]}}"#,
    ];
    for outcome in cases {
        let mut world = producing();
        let run = world.start("make", json!({}));
        let task = world.tasks().remove(0);
        report(&mut world, &task, outcome);
        world.deliver_submissions();
        assert!(world.timeline(run).ends_with("SUCCEEDED"), "{outcome}: {}", world.timeline(run));
        let sent = serde_json::from_str::<ReportOutcome>(outcome).unwrap();
        let again = serde_json::from_str(&serde_json::to_string(&sent).unwrap()).unwrap();
        assert_eq!(sent, again);
    }
}

#[test]
fn a_bad_report_leaves_the_others_of_its_frame_alone() {
    const CREDIT: &str = r#"{"term":{"epoch":1,"meeting":0},"word":1,"lent":0}"#;
    let mut world = World::with(&chain(&["a"]));
    let (first, second) = (world.start("chain", json!({})), world.start("chain", json!({})));
    let tasks = world.tasks();
    let wrap = |task: &Task, started_at: &str, outcome: &str| {
        let report = written(task, started_at, outcome);
        format!(
            r#"{{"report":{{"id":"11111111-2222-4333-8444-555555555555","run":"{}","report":{report}}}}}"#,
            task.run
        )
    };
    let requests = [
        wrap(&tasks[0], "1764100000000000000", r#"{"succeeded":{"output":1}}"#),
        wrap(&tasks[1], "1764100000000000", r#"{"succeeded":{"output":1}}"#),
    ];
    let frame = format!(
        r#"{{"protocol":2,"worker":"w","session":"00000000000000aa","queues":[],"credit":{CREDIT},"requests":[{}]}}"#,
        requests.join(",")
    );
    for request in ReadFrame::read(frame.as_bytes()).unwrap().requests {
        let Ok(WorkRequest::Report { run, report, .. }) = request else { panic!() };
        world.decide(Command::Run { run, command: RunCommand::ReportAttempt(report) }).unwrap();
    }
    assert!(world.timeline(first).starts_with("started a:try1 a:failed(result_invalid)"), "{}", world.timeline(first));
    assert!(failure(&world).message.contains("/startedAt"), "{}", failure(&world).message);
    assert_eq!(world.timeline(second), "started a:try1 a:ok SUCCEEDED");
}

#[test]
fn nothing_begins_or_is_produced_after_it_is_recorded() {
    let mut world = producing();
    world.start("make", json!({}));
    let task = world.tasks().remove(0);
    let now = world.now;
    let ahead = now.as_micros() + 60_000_000;
    let outcome = asset(&format!(r#""producedAt":{ahead}"#));
    let report: Report = serde_json::from_str(&written(&task, &ahead.to_string(), &outcome)).unwrap();
    world.decide(Command::Run { run: task.run, command: RunCommand::ReportAttempt(report) }).unwrap();
    world.deliver_submissions();
    let events: Vec<&Event> = world.commits.iter().flat_map(|commit| &commit.events).collect();
    let seen = |wanted: fn(&Event) -> Option<Timestamp>| events.iter().find_map(|event| wanted(event));
    let started = seen(|event| match event {
        Event::Run(RunEvent::NodeSucceeded { started_at, .. }) => *started_at,
        _ => None,
    });
    let produced = seen(|event| match event {
        Event::Asset(AssetEvent::AssetMaterialized { record, .. }) => Some(record.produced_at),
        _ => None,
    });
    assert_eq!((started, produced), (Some(now), Some(now)));
}

#[test]
fn what_a_failure_says_for_programs_is_kept_or_left_out_with_a_note() {
    let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(16 * 1024));
    let cases = [
        (r#"{"status":503,"more":{"a":[1]}}"#, None),
        ("null", Some("it broke")),
        ("[1]", Some("they are not an object")),
        (r#""503""#, Some("they are not an object")),
        (r#"{"a":"\u0000"}"#, Some("U+0000")),
        (&long, Some("at most 16384 are kept")),
    ];
    for (details, note) in cases {
        let mut world = producing();
        world.start("make", json!({}));
        let task = world.tasks().remove(0);
        let said = format!(r#"{{"failed":{{"code":"busy","message":"it broke","details":{details}}}}}"#);
        report(&mut world, &task, &said);
        let RunFailure { code, message, details: kept, .. } = failure(&world);
        assert_eq!(code, "busy", "{details}");
        match note {
            None => assert_eq!((message.as_str(), kept.unwrap().as_str()), ("it broke", details)),
            Some(note) => assert!(kept.is_none() && message.contains(note), "{details}: {message}"),
        }
        assert!(world.tasks().is_empty() && world.shard.next_due().is_some(), "it is tried again");
    }
}

#[test]
fn a_time_to_wait_that_is_none_fails_the_attempt_for_good() {
    for bad in ["-1", "1.5", r#""10s""#, "true", "{}"] {
        let mut world = producing();
        world.start("make", json!({}));
        let task = world.tasks().remove(0);
        report(&mut world, &task, &format!(r#"{{"failed":{{"code":"busy","message":"m","retryAfterMs":{bad}}}}}"#));
        let RunFailure { code, message, .. } = failure(&world);
        assert_eq!(code, "result_invalid", "{bad}");
        assert!(message.contains("/outcome/failed/retryAfterMs is not a whole number of milliseconds"), "{message}");
        assert_eq!(world.shard.next_due(), None);
    }
}
