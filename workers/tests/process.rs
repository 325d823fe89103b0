//! `process` with real processes: what comes back, and what is left behind (nothing).

mod command;

use std::path::Path;
use std::time::Duration;

use headwater_workers::actions::ActionPolicy;
use headwater_workers::actions::process::{ProcessRequest, execute};
use headwater_workers::sdk::HandlerError;
use serde_json::json;

use command::{context, policy};

const DEADLINE: Duration = Duration::from_secs(240);

async fn run(request: serde_json::Value) -> Result<serde_json::Value, HandlerError> {
    let request = serde_json::from_value(request).unwrap();
    execute(&policy(), &context(), request).await.map(|outcome| outcome.output().to_value())
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
    let outcome = execute(&policy(), &context(), serde_json::from_value(shell(line, "result")).unwrap()).await.unwrap();
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
    let details = failure.details().unwrap().to_value();
    let stderr = details["stderr"].as_str().unwrap();
    assert!(stderr.ends_with("line 1000\n") && (2000..=2048).contains(&stderr.len()), "{stderr}");
    assert_eq!((&details["exitCode"], details.get("signal")), (&json!(3), None));
    let failure = run(serde_json::json!({"command": "kill -9 $$", "shell": true})).await.unwrap_err();
    assert!(failure.message().starts_with("the command ended with 137"), "{}", failure.message());
    let details = failure.details().unwrap().to_value();
    assert_eq!(details, json!({"exitCode": 137, "signal": 9, "stderr": ""}));
    let failure =
        run(serde_json::json!({"command": "printf '\\001%.0s' $(seq 5000) >&2; exit 1", "shell": true})).await;
    assert!(failure.unwrap_err().details().is_some(), "what is escaped fits too");
}

#[tokio::test]
async fn output_beyond_the_limit_is_dropped_and_the_command_goes_on() {
    let line = "head -c 1000000 /dev/zero | tr '\\0' x; echo done >&2";
    let request = serde_json::json!({"command": line, "shell": true, "maxOutputBytes": 1000});
    let answer = run(request).await.unwrap();
    assert_eq!(answer["stdout"].as_str().unwrap().len(), 1000);
    assert_eq!((&answer["truncated"], &answer["stderr"]), (&true.into(), &"done\n".into()));
}

/// Ways to get out from under a command; each writes the number of who stays behind into `$PIDS`.
const ESCAPES: [(&str, &str); 6] = [
    ("a background job", "sleep 600 & echo $! >> $PIDS"),
    ("one that does not listen", "(trap '' TERM; echo $$ >> $PIDS; sleep 600; sleep 600) & echo $! >> $PIDS"),
    ("a session of its own", "setsid sh -c 'echo $$ >> $PIDS; exec sleep 600' &"),
    ("a session, and parents that are gone", "setsid sh -c '(sh -c \"echo \\$\\$ >> $PIDS; exec sleep 600\" &)' &"),
    (
        "a group of its own",
        "python3 -c 'import os, time; os.setpgid(0, 0); print(os.getpid(), file=open(os.environ[\"PIDS\"], \"a\")); time.sleep(600)' &",
    ),
    (
        "a daemon",
        "python3 -c 'import os, time\nif os.fork(): os._exit(0)\nos.setsid()\nif os.fork(): os._exit(0)\nprint(os.getpid(), file=open(os.environ[\"PIDS\"], \"a\")); time.sleep(600)'",
    ),
];

fn pids(file: &Path) -> Vec<i32> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.split_ascii_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// Whether a process runs that has this in its environment: numbers come round, and then mean somebody else. The dead have
/// no environment.
fn runs(pid: i32, mark: &str) -> bool {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    String::from_utf8_lossy(&environment).contains(mark)
}

fn left(file: &Path) -> Vec<i32> {
    let mark = format!("PIDS={}", file.display());
    pids(file).into_iter().filter(|pid| runs(*pid, &mark)).collect()
}

#[tokio::test]
async fn a_command_is_over_when_it_ends_and_leaves_nobody_behind() {
    for (what, line) in ESCAPES {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pids");
        let line = format!("{line}\nuntil [ -s $PIDS ]; do sleep 0.01; done; echo started");
        let request = json!({"command": line, "shell": true, "env": {"PIDS": &file}});
        let answer = tokio::time::timeout(DEADLINE, run(request)).await.expect(what).unwrap();
        assert_eq!(answer["stdout"], "started\n", "{what}");
        assert!(!pids(&file).is_empty(), "{what}");
        assert_eq!(left(&file), Vec::<i32>::new(), "{what}");
    }
}

#[tokio::test]
async fn a_command_that_is_cancelled_or_takes_too_long_leaves_nobody_behind() {
    for (what, line) in ESCAPES {
        for cancelled in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("pids");
            let line = format!("trap '' TERM; {line}\nwait; while :; do sleep 600; done");
            let timeout = if cancelled { None } else { Some(1500) };
            let request = json!({"command": line, "shell": true, "env": {"PIDS": &file}, "timeoutMs": timeout});
            let (context, request) = (context(), serde_json::from_value(request).unwrap());
            let cancel = async {
                while cancelled && pids(&file).is_empty() {
                    tokio::task::yield_now().await;
                }
                if cancelled {
                    context.cancel();
                }
            };
            let policy = policy();
            let both = async { tokio::join!(execute(&policy, &context, request), cancel).0 };
            let failure = tokio::time::timeout(DEADLINE, both).await.expect(what).unwrap_err();
            assert_eq!(failure.code(), if cancelled { "cancelled" } else { "process_timeout" }, "{what}");
            assert_eq!(left(&file), Vec::<i32>::new(), "{what}");
        }
    }
}

#[tokio::test]
async fn what_multiplies_is_ended_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    // Each of 40 makes another of itself, in a session of its own, and ends: never more than a few at once, and always.
    let bomb = "import os
def hop():
    while True:
        if os.fork(): os._exit(0)
        os.setsid()
print(os.getpid(), file=open(os.environ['PIDS'], 'a'), flush=True)
for n in range(40):
    if not os.fork(): hop()
";
    let request = json!({"command": ["python3", "-c", bomb], "env": {"PIDS": &file, "MARK": folder.path()}});
    let answer = tokio::time::timeout(DEADLINE, run(request)).await.expect("it ends").unwrap();
    assert_eq!(answer["exitCode"], 0);
    let mark = format!("MARK={}", folder.path().display());
    let numbers =
        std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    assert_eq!(numbers.filter(|pid| runs(*pid, &mark)).count(), 0);
}

#[tokio::test]
async fn a_command_whose_worker_is_gone_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let line = "setsid sleep 600 & echo $! $$ >> $PIDS; sleep 600";
    let request = serde_json::from_value(json!({"command": line, "shell": true, "env": {"PIDS": &file}})).unwrap();
    let (policy, context) = (policy(), context());
    let begun = async {
        while pids(&file).is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = execute(&policy, &context, request) => panic!("it runs for ten minutes"),
        () = begun => {}
    }
    // Whoever waited is dropped, as with a worker that dies.
    let gone = async {
        while !left(&file).is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, gone).await.expect("they are gone");
}

#[tokio::test]
async fn what_may_not_or_cannot_be_run_is_refused() {
    let request: ProcessRequest = serde_json::from_value(serde_json::json!({"command": ["true"]})).unwrap();
    let forbidden = ActionPolicy { allow_processes: false, ..policy() };
    let refusal = execute(&forbidden, &context(), request.clone()).await.unwrap_err();
    assert_eq!(refusal.code(), "process_forbidden");
    // This program would be started anew, and knows nothing of supervising.
    let itself = ActionPolicy { supervisor: None, ..policy() };
    let refusal = execute(&itself, &context(), request.clone()).await.unwrap_err();
    assert!(refusal.message().contains("supervise_if_asked"), "{}", refusal.message());
    let broken = ActionPolicy { supervisor: Some("/bin/true".into()), ..policy() };
    let failure = execute(&broken, &context(), request).await.unwrap_err();
    assert_eq!(failure.code(), "process_failed");
    for (request, code) in [
        (serde_json::json!({"command": []}), "process_invalid"),
        (serde_json::json!({"command": "ls"}), "process_invalid"),
        (serde_json::json!({"command": ["a", "b"], "shell": true}), "process_invalid"),
        (serde_json::json!({"command": ["/no/such/program"]}), "process_failed"),
    ] {
        assert_eq!(run(request).await.unwrap_err().code(), code);
    }
}
