//! What crosses the broker between processes: what an older one wrote is still read, and means the same.

use headwater_core::protocol::{Hello, Malformed, ReadFrame, ShardRequest, Task, WorkRequest, read_requests};
use headwater_core::run::ReportOutcome;
use serde_json::{Value, json};

/// A task as 0.1.0 first wrote it.
const TASK: &str = r#"{"workspace":"default","workflow":"nightly","run":"0197a3f0-7c00-7abc-8def-0123456789ab","node":"fetch","attempt":1,"lease":"0123456789abcdef","queue":"fetch-orders","work":{"job":"fetch-orders"},"input":{"day":1},"assets":[{"asset":"sales.daily","version":4,"payload":{}}],"deadline":1767225600000000}"#;

#[test]
fn a_task_of_an_older_shard_is_read_and_written_as_it_was() {
    let task: Task = serde_json::from_str(TASK).unwrap();
    assert_eq!(task.heartbeat_timeout_ms, None);
    assert_eq!(serde_json::to_string(&task).unwrap(), TASK);
}

#[test]
fn a_task_says_how_long_its_handler_may_be_silent() {
    let golden = TASK.replace("1767225600000000}", r#"1767225600000000,"heartbeatTimeoutMs":20000}"#);
    let task: Task = serde_json::from_str(&golden).unwrap();
    assert_eq!(task.heartbeat_timeout_ms, Some(20_000));
    assert_eq!(serde_json::to_string(&task).unwrap(), golden);
}

fn heartbeat() -> Value {
    json!({"heartbeat": {"held": []}})
}

fn report() -> Value {
    json!({"report": {
        "id": "0197a3f0-7c00-4abc-8def-0123456789ab", "run": "0197a3f0-7c00-7abc-8def-0123456789ab",
        "report": {
            "node": "a", "attempt": 1, "lease": "0123456789abcdef", "worker": "w", "startedAt": 1_764_100_000_000_000_u64,
            "outcome": {"succeeded": {"output": 1}},
        },
    }})
}

fn frame(requests: Vec<Value>) -> Value {
    json!({
        "protocol": 2, "worker": "w", "session": "00000000000000aa", "queues": ["q"],
        "credit": {"term": {"epoch": 1, "meeting": 0}, "word": 1, "lent": 4}, "requests": requests,
    })
}

fn read(frame: &Value) -> Result<ReadFrame, Malformed> {
    ReadFrame::read(frame.to_string().as_bytes())
}

/// `value` with what a pointer names replaced, or taken out.
fn with(mut value: Value, pointer: &str, new: Option<Value>) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = value.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match new {
        Some(new) => parent.insert(name.to_owned(), new),
        None => parent.remove(name),
    };
    value
}

#[test]
fn every_request_of_a_frame_is_read_by_itself_and_a_bad_one_says_where() {
    let bad = [
        (json!({"steal": {}}), ""),
        (json!({}), ""),
        (json!(7), ""),
        (with(report(), "/report/report/lease", Some(json!("short"))), "/report/report/lease"),
        (with(report(), "/report/report/attempt", Some(json!(-1))), "/report/report/attempt"),
        (with(report(), "/report/run", Some(json!("nobody"))), "/report/run"),
        (with(report(), "/report/report/outcome", None), "/report/report"),
        (with(report(), "/report/hurry", Some(json!(true))), "/report/hurry"),
        (with(report(), "/report/report/node", Some(json!("a b"))), "/report/report/node"),
        (json!({"heartbeat": {"held": [{"run": 1}]}}), "/heartbeat/held/0/run"),
    ];
    for (request, path) in bad {
        let read = read(&frame(vec![heartbeat(), request.clone(), report()])).unwrap();
        let [Ok(WorkRequest::Heartbeat { .. }), Err(malformed), Ok(WorkRequest::Report { .. })] = &read.requests[..]
        else {
            panic!("{request}: {:?}", read.requests)
        };
        assert!(malformed.path.starts_with(path) && !malformed.reason.is_empty(), "{request}: {malformed:?}");
    }
}

#[test]
fn what_a_report_holds_spoils_its_attempt_and_nothing_else() {
    for outcome in [r#"{"succeeded":{"output":"\ud83d"}}"#, r#"{"succeeded":{"output":1e400}}"#, r#"{"done":{}}"#] {
        let text = frame(vec![report(), report()]).to_string();
        let text = text.replacen(r#"{"succeeded":{"output":1}}"#, outcome, 1);
        let read = ReadFrame::read(text.as_bytes()).unwrap();
        let [Ok(WorkRequest::Report { report: bad, .. }), Ok(WorkRequest::Report { report: good, .. })] =
            &read.requests[..]
        else {
            panic!("{outcome}: {:?}", read.requests)
        };
        assert!(matches!(bad.outcome, ReportOutcome::Failed { permanent: true, .. }), "{outcome}");
        assert!(matches!(good.outcome, ReportOutcome::Succeeded { .. }), "{outcome}");
    }
}

#[test]
fn a_frame_that_cannot_be_read_says_where_too() {
    let whole = frame(vec![heartbeat()]);
    for (bad, path) in [
        (with(whole.clone(), "/protocol", None), "/protocol"),
        (with(whole.clone(), "/protocol", Some(json!(1))), "/protocol"),
        (with(whole.clone(), "/protocol", Some(json!("2"))), "/protocol"),
        (with(whole.clone(), "/worker", Some(json!("a b"))), "/worker"),
        (with(whole.clone(), "/session", None), ""),
        (with(whole.clone(), "/freeSlots", Some(json!(3))), "/freeSlots"),
        (with(whole.clone(), "/credit/lent", Some(json!(-1))), "/credit/lent"),
        (with(whole.clone(), "/credit/extra", Some(json!(-1))), "/credit"),
        (with(whole.clone(), "/queues", Some(json!(vec!["q"; 2_000]))), "/queues"),
        (with(whole.clone(), "/requests", Some(json!(vec![heartbeat(); 5_000]))), "/requests"),
        (json!([]), ""),
    ] {
        let malformed = read(&bad).unwrap_err();
        assert!(malformed.path.starts_with(path) && !malformed.reason.is_empty(), "{path}: {malformed:?}");
    }
    for bytes in [&b"\xff{}"[..], b"", b"{", b"nonsense"] {
        assert!(!ReadFrame::read(bytes).unwrap_err().reason.is_empty());
        assert!(!Hello::read(bytes).unwrap_err().reason.is_empty());
    }
}

#[test]
fn a_newer_worker_may_say_more_than_this_engine_knows() {
    let mut newer = frame(vec![with(heartbeat(), "/heartbeat/mood", Some(json!("good")))]);
    newer["protocol"] = json!(3);
    newer["shoeSize"] = json!(44);
    let read = read(&newer).unwrap();
    assert!(matches!(&read.requests[..], [Ok(WorkRequest::Heartbeat { .. })]), "{:?}", read.requests);
}

#[test]
fn what_is_said_of_a_frame_that_cannot_be_read_is_short_however_long_the_frame_is() {
    let long = "é".repeat(1 << 20);
    let reports = |report: Value| read(&frame(vec![report])).unwrap().requests.remove(0).unwrap_err();
    let mut unknown = heartbeat();
    unknown["heartbeat"][&long] = json!(1);
    let named = with(report(), "/report/report/node", Some(json!(long)));
    let malformed = [
        reports(unknown),
        reports(named),
        reports(json!({ &long: {} })),
        read(&with(frame(Vec::new()), "/worker", Some(json!({ &long: 1 })))).unwrap_err(),
        read(&with(frame(Vec::new()), &format!("/{long}"), Some(json!(1)))).unwrap_err(),
        read(&json!({"protocol": long})).unwrap_err(),
        Hello::read(json!({"protocol": 2, &long: 1}).to_string().as_bytes()).unwrap_err(),
        read_requests::<ShardRequest>(json!([{ &long: 1 }]).to_string().as_bytes()).unwrap_err(),
    ];
    for Malformed { path, reason } in malformed {
        assert!(path.chars().count() <= 400 && reason.chars().count() <= 500, "{} {}", path.len(), reason.len());
    }
}
