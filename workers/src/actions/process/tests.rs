use std::time::Instant;

use headwater_core::protocol::{Task, Work};
use headwater_core::{Attempt, LeaseToken, RunId, ShardId, Timestamp};

use super::*;

fn context() -> Context {
    Context::new(Task {
        workspace: "acme".parse().unwrap(),
        workflow: "w".parse().unwrap(),
        run: RunId::new(ShardId::new(0).unwrap(), Timestamp::from_micros(1), 1),
        node: "n".parse().unwrap(),
        attempt: Attempt::FIRST,
        lease: LeaseToken::from_bits(1),
        queue: "builtin".parse().unwrap(),
        work: Work::BuiltIn(headwater_core::definition::BuiltIn::Process),
        input: Json::null(),
        assets: Vec::new(),
        deadline: None,
        heartbeat_timeout_ms: None,
    })
}

async fn run(request: serde_json::Value) -> Result<serde_json::Value, HandlerError> {
    let request = serde_json::from_value(request).unwrap();
    execute(true, &context(), request).await.map(|outcome| outcome.output().to_value())
}

#[tokio::test]
async fn a_command_gets_its_words_input_and_environment_and_nothing_else() {
    let request = serde_json::json!({
        "command": ["/bin/sh", "-c", "cat; echo $GREETING; echo ${CARGO_MANIFEST_DIR:-none}; pwd; echo oops >&2"],
        "env": {"GREETING": "hello there"}, "stdin": "in\n", "cwd": "/", "parse": "lines",
    });
    let answer = run(request).await.unwrap();
    assert_eq!(answer["stdout"], serde_json::json!(["in", "hello there", "none", "/"]));
    assert_eq!((answer["exitCode"].as_i64(), answer["stderr"].as_str()), (Some(0), Some("oops\n")));
    let literal = run(serde_json::json!({"command": ["/bin/echo", "$HOME; ls"]})).await.unwrap();
    assert_eq!(literal["stdout"], "$HOME; ls\n");
}

#[tokio::test]
async fn output_is_parsed_as_asked() {
    let shell = |line: &str, parse: &str| serde_json::json!({"command": line, "shell": true, "parse": parse});
    let answer = run(shell("cat <<E\n{\"a\": [1]}\nE", "json")).await.unwrap();
    assert_eq!(answer["stdout"]["a"][0], 1);
    let failure = run(shell("echo '{'", "json")).await.unwrap_err();
    assert_eq!(failure.code(), "process_output");
    let line = r#"echo '{"status":"success","result":{"n":1,"assets":[{"assetId":"a","payload":2}]}}'"#;
    let outcome = execute(true, &context(), serde_json::from_value(shell(line, "result")).unwrap()).await.unwrap();
    assert_eq!((outcome.output().as_str(), outcome.assets().len()), (r#"{"n":1}"#, 1));
    let bad = [
        (r#"printf '"\377"'"#, "json", "process_output", "UTF-8"),
        (r#"echo '{"a":1e400}'"#, "json", "process_output", "(at /a)"),
        (r#"echo '{"status":"ok","results":{}}'"#, "result", "result_invalid", "unknown field `results`"),
        (
            r#"echo '{"status":"ok","result":{"assets":[{"assetId":"a","payload":1,"producedAt":"2025-02-01"}]}}'"#,
            "result",
            "result_invalid",
            "/assets/0/producedAt",
        ),
        (
            r#"echo '{"status":"ok","result":{"assets":[{"assetId":"a","payload":1,"partitionKey":""}]}}'"#,
            "result",
            "partition_key",
            "/assets/0/partitionKey",
        ),
    ];
    for (line, parse, code, message) in bad {
        let failure = run(shell(line, parse)).await.unwrap_err();
        assert_eq!(failure.code(), code, "{line}");
        assert!(failure.message().contains(message), "{line}: {}", failure.message());
    }
    let line = r#"echo '{"status":"failed","errorMessage":"no luck"}'"#;
    let failure = run(shell(line, "result")).await.unwrap_err();
    assert_eq!((failure.code(), failure.message()), (HandlerError::CODE, "no luck"));
}

#[tokio::test]
async fn an_exit_code_other_than_zero_is_a_failure_that_shows_the_end_of_the_error_output() {
    let line = "for i in $(seq 1000); do echo line $i >&2; done; exit 3";
    let failure = run(serde_json::json!({"command": line, "shell": true})).await.unwrap_err();
    assert_eq!(failure.code(), "process_exit");
    assert!(failure.message().starts_with("the command ended with 3: "));
    assert!(failure.message().ends_with("line 1000") && failure.message().len() < 600);
    let failure = run(serde_json::json!({"command": "kill -9 $$", "shell": true})).await.unwrap_err();
    assert!(failure.message().starts_with("the command ended with 137"), "{}", failure.message());
}

#[tokio::test]
async fn output_beyond_the_limit_is_dropped_and_the_command_goes_on() {
    let line = "head -c 1000000 /dev/zero | tr '\\0' x; echo done >&2";
    let request = serde_json::json!({"command": line, "shell": true, "maxOutputBytes": 1000});
    let answer = run(request).await.unwrap();
    assert_eq!(answer["stdout"].as_str().unwrap().len(), 1000);
    assert_eq!((&answer["truncated"], &answer["stderr"]), (&true.into(), &"done\n".into()));
}

#[tokio::test]
async fn the_whole_group_goes_when_the_time_is_over() {
    let directory = tempfile::tempdir().unwrap();
    let pids = directory.path().join("pids");
    // A child that ignores the wish to end, and a grandchild.
    let line = format!("trap '' TERM; sleep 600 & echo $! > {}; wait; sleep 600", pids.display());
    let started = Instant::now();
    let request = serde_json::json!({"command": line, "shell": true, "timeoutMs": 200});
    let failure = run(request).await.unwrap_err();
    assert_eq!(failure.code(), "process_timeout");
    assert!(started.elapsed() < Duration::from_secs(10));
    let pid: i32 = std::fs::read_to_string(&pids).unwrap().trim().parse().unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    let gone = async {
        while rustix::process::test_kill_process(pid).is_ok() && !is_zombie(pid) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), gone).await.unwrap();
}

fn is_zombie(pid: rustix::process::Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z')
}

#[tokio::test]
async fn a_cancelled_attempt_ends_its_command() {
    let context = context();
    let request = serde_json::from_value(serde_json::json!({"command": ["sleep", "600"]})).unwrap();
    let running = execute(true, &context, request);
    let (ended, ()) = tokio::join!(running, async { context.cancel() });
    assert_eq!(ended.unwrap_err().code(), "cancelled");
}

#[tokio::test]
async fn what_may_not_or_cannot_be_run_is_refused() {
    let request: ProcessRequest = serde_json::from_value(serde_json::json!({"command": ["true"]})).unwrap();
    let refusal = execute(false, &context(), request).await.unwrap_err();
    assert_eq!(refusal.code(), "process_forbidden");
    for (request, code) in [
        (serde_json::json!({"command": []}), "process_invalid"),
        (serde_json::json!({"command": "ls"}), "process_invalid"),
        (serde_json::json!({"command": ["a", "b"], "shell": true}), "process_invalid"),
        (serde_json::json!({"command": ["/no/such/program"]}), "process_failed"),
    ] {
        assert_eq!(run(request).await.unwrap_err().code(), code);
    }
}
