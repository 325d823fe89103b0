//! What crosses the broker between processes: what an older one wrote is still read, and means the same.

use headwater_core::protocol::Task;

/// A task as 0.1.0 first wrote it.
const TASK: &str = r#"{"workspace":"default","workflow":"nightly","run":"0197a3f0-7c00-7abc-8def-0123456789ab","node":"fetch","attempt":1,"lease":"0123456789abcdef","queue":"fetch-orders","work":{"job":"fetch-orders"},"input":{"day":1},"assets":[{"asset":"sales.daily","version":4,"payload":{}}],"deadline":1767225600000000,"claimFirst":true}"#;

#[test]
fn a_task_of_an_older_shard_is_read_and_written_as_it_was() {
    let task: Task = serde_json::from_str(TASK).unwrap();
    assert_eq!(task.heartbeat_timeout_ms, None);
    assert_eq!(serde_json::to_string(&task).unwrap(), TASK);
}

#[test]
fn a_task_says_how_long_its_handler_may_be_silent() {
    let golden = TASK.replace(r#","claimFirst""#, r#","heartbeatTimeoutMs":20000,"claimFirst""#);
    let task: Task = serde_json::from_str(&golden).unwrap();
    assert_eq!(task.heartbeat_timeout_ms, Some(20_000));
    assert_eq!(serde_json::to_string(&task).unwrap(), golden);
}
