//! The workflows that run in the simulation, and what their jobs return.

use headwater_core::Json;
use headwater_core::protocol::Task;
use headwater_core::run::{ProducedAsset, ReportOutcome};
use serde_json::{Value, json};

use crate::chance::Chance;

/// Slugs whose runs produce assets that others may wait for.
pub const PRODUCERS: [&str; 3] = ["make", "use", "pure"];

pub const SLUGS: [&str; 26] = [
    "onward", "asks", "chain", "fan", "quorum", "mended", "asleep", "hasty", "make", "pure", "use", "fresh", "patient",
    "easy", "both", "swarm", "crowd", "each", "rounds", "ideas", "calls", "deep", "away", "again", "told", "saga",
];

/// The document of a workflow; `edition` makes another content, and so another version.
pub fn document(slug: &str, edition: u64) -> Value {
    let retry = json!({"maxAttempts": 4, "backoff": "fixed", "delay": "1s"});
    let patient = json!({"maxAttempts": 4, "delay": "1s", "maxDuration": "6s",
        "rules": [{"when": "error.code == 'boom'", "maxAttempts": 2}, {"codes": ["worker_lost"], "delay": "2s"}]});
    let body = match slug {
        "chain" => json!({"steps": [
            {"id": "a", "jobSlug": "work", "retry": retry},
            {"id": "b", "jobSlug": "work", "dependsOn": ["a"], "retry": retry, "timeout": "15s"},
            {"id": "c", "jobSlug": "work", "dependsOn": ["b"], "retry": {"maxAttempts": 2, "backoff": "none"}}]}),
        "fan" => json!({"steps": [
            {"id": "s", "jobSlug": "work", "retry": retry},
            {"id": "l", "jobSlug": "work", "dependsOn": ["s"], "retry": retry, "allowFailure": true},
            {"id": "m", "jobSlug": "work", "dependsOn": ["s"], "retry": retry},
            {"id": "r", "jobSlug": "work", "dependsOn": ["s"], "retry": retry},
            {"id": "j", "jobSlug": "work", "dependsOn": ["l", "m", "r"], "retry": retry}]}),
        "quorum" => json!({"nodes": [
            {"id": "x", "action": {"kind": "job", "jobSlug": "work"}, "retry": patient, "allowFailure": {"codes": ["boom"]}},
            {"id": "y", "action": {"kind": "job", "jobSlug": "work"}, "retry": retry},
            {"id": "z", "action": {"kind": "sleep", "duration": "4s"}},
            {"id": "q", "action": {"kind": "job", "jobSlug": "work"}, "join": {"quorum": 2}, "cancelLosers": true,
                "retry": retry}],
            "transitions": [{"from": "x", "to": "q"}, {"from": "y", "to": "q"}, {"from": "z", "to": "q"}]}),
        "mended" => json!({"nodes": [
            {"id": "try", "action": {"kind": "job", "jobSlug": "fragile"}, "retry": {"maxAttempts": 1}},
            {"id": "mend", "action": {"kind": "job", "jobSlug": "work"}, "retry": retry},
            {"id": "done", "action": "noop", "join": "any"}, {"id": "clean", "action": "noop", "join": "noneFailed"},
            {"id": "stop", "action": {"kind": "fail", "code": "meant", "message": "after ${{ nodes.try.attempts }}"}},
            {"id": "told", "action": {"kind": "transform", "output": "${{ nodes.try.status }}"}, "join": "allDone"}],
            "transitions": [{"from": "try", "to": "done"}, {"from": "try", "to": "mend", "on": "failure"},
                {"from": "mend", "to": "done"}, {"from": "try", "to": "clean"}, {"from": "done", "to": "clean"},
                {"from": "clean", "to": "stop"}, {"from": "stop", "to": "told", "on": "failure"},
                {"from": "done", "to": "told"}]}),
        "asleep" => json!({"nodes": [
            {"id": "nap", "action": {"kind": "sleep", "duration": "5s"}},
            {"id": "until", "action": {"kind": "wait_until", "time": "${{ timestamp(run.startedAt) + duration('6s') }}"}},
            {"id": "count", "action": {"kind": "transform", "output": {"n": "${{ input.n }}"}}},
            {"id": "work", "action": {"kind": "job", "jobSlug": "work"}, "retry": retry}],
            "transitions": [{"from": "nap", "to": "until"}, {"from": "until", "to": "count"}, {"from": "count", "to": "work"}]}),
        "hasty" => json!({"timeout": "8s", "steps": [
            {"id": "a", "jobSlug": "work", "timeout": "3s", "retry": retry},
            {"id": "b", "jobSlug": "work", "dependsOn": ["a"], "timeout": "3s", "retry": retry}]}),
        "make" => json!({"defaults": {"title": "T"}, "inputSchema": {"type": "object", "required": ["dir"]}, "steps": [
            {"id": "build", "jobSlug": "work", "retry": {"maxAttempts": 2, "delay": "1s"},
                "produces": [{"assetId": "site.report"}]}]}),
        "pure" => json!({"nodes": [{"id": "note", "action": {"kind": "transform", "output": {"n": "${{ input.n }}"}},
            "produces": [{"assetId": "site.note"}]}]}),
        "use" => json!({"steps": [{"id": "pack", "jobSlug": "work", "retry": retry,
            "consumes": [{"assetId": "site.report", "producerInput": {"dir": "/data"}}],
            "produces": [{"assetId": "site.archive"}]}]}),
        "fresh" => json!({"steps": [{"id": "read", "jobSlug": "work", "retry": retry, "consumes": [
            {"assetId": "site.report", "require": "fresh", "freshness": {"maxAge": "6s"},
                "producerInput": {"dir": "/fresh"}}]}]}),
        "patient" => json!({"steps": [{"id": "wait", "jobSlug": "work", "retry": retry,
            "consumes": [{"assetId": "site.archive", "onMiss": "wait"}]}]}),
        "easy" => json!({"steps": [{"id": "glance", "jobSlug": "work", "retry": retry,
            "consumes": [{"assetId": "site.archive", "onMiss": "ignore"}]}]}),
        "both" => json!({"steps": [{"id": "merge", "jobSlug": "work", "retry": retry, "consumes": [
            {"assetId": "site.note"},
            {"assetId": "site.report", "producerInput": {"dir": "/both"}},
            {"assetId": "site.archive", "producerInput": {"n": 1}}]}]}),
        "swarm" => swarm(),
        "crowd" => crowd(&retry),
        "each" => each(&retry),
        "rounds" => rounds(&retry),
        "ideas" => ideas(),
        "calls" => calls(&retry),
        "again" => again(&retry),
        "told" => told(&retry),
        "saga" => saga(&retry),
        "onward" => onward(&retry),
        "asks" => json!({"timeout": "60s", "steps": [{"id": "sub", "allowFailure": true,
            "action": {"kind": "workflow_call", "workflow": "onward"}, "retry": {"maxAttempts": 2, "delay": "1s"}}]}),
        "deep" => deep(),
        "away" => {
            json!({"steps": [{"id": "go", "action": {"kind": "workflow_call", "workflow": "chain", "wait": "none"}},
            {"id": "on", "jobSlug": "work", "dependsOn": ["go"], "retry": retry}]})
        }
        other => panic!("no document {other}"),
    };
    let mut document = json!({"slug": slug, "description": format!("edition {edition}")});
    document.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
    document
}

/// Pure nodes that each take much of a decision, and one that takes more than there is.
fn swarm() -> Value {
    let product = "${{ size([1, 2, 3, 4, 5].map(a, [1, 2, 3, 4, 5].map(b, a * b))) }}";
    let transform = |n: usize| json!({"id": format!("t{n}"), "action": {"kind": "transform", "output": product}});
    let mut nodes: Vec<_> = (0..9).map(transform).collect();
    let endless = "${{ 'aaaa'.matches('(\\\\w{1,20}){1,20}b') }}";
    nodes.push(json!({"id": "endless", "action": {"kind": "transform", "output": endless}}));
    nodes.push(json!({"id": "large", "action": {"kind": "transform", "output": "x".repeat(3_000)}}));
    nodes.push(json!({"id": "nap", "action": {"kind": "sleep", "duration": "2s"}, "join": "any"}));
    nodes.push(json!({"id": "end", "action": "noop", "join": "any"}));
    let mut edges: Vec<_> = (0..9).map(|n| json!({"from": format!("t{n}"), "to": "end"})).collect();
    edges.push(json!({"from": "endless", "to": "nap", "on": "failure"}));
    edges.push(json!({"from": "large", "to": "nap"}));
    edges.push(json!({"from": "nap", "to": "end"}));
    json!({"nodes": nodes, "transitions": edges, "output": {"n": "${{ input.n }}"}})
}

/// Jobs that begin and end together, more than a decision takes.
fn crowd(retry: &Value) -> Value {
    let jobs = (0..12).map(|n| json!({"id": format!("j{n}"), "jobSlug": "fragile", "dependsOn": ["first"]}));
    let mut steps: Vec<_> = jobs.collect();
    steps.push(json!({"id": "first", "jobSlug": "work", "retry": retry}));
    json!({"steps": steps, "timeout": "25s"})
}

/// Bodies in one another, some of which fail, consume and produce; some are withdrawn.
fn each(retry: &Value) -> Value {
    let part = json!({"id": "part", "jobSlug": "fragile", "retry": {"maxAttempts": 2, "delay": "1s"},
        "consumes": [{"assetId": "site.note", "onMiss": "ignore"}]});
    json!({"timeout": "60s", "steps": [
        {"id": "all", "forEach": {"items": 5, "maxConcurrency": 3, "onItemFailure": "continue", "body": {"steps": [
            {"id": "first", "jobSlug": "work", "retry": retry},
            {"id": "parts", "dependsOn": ["first"], "forEach": {"items": "${{ index }}", "as": "outer",
                "join": {"quorum": 1}, "timeout": "9s", "onTimeout": "proceed", "body": part}},
            {"id": "beside", "action": {"kind": "sleep", "duration": "3s"}}]}}},
        {"id": "after", "dependsOn": ["all"], "jobSlug": "work", "retry": retry, "input": "${{ nodes.all.output }}"}]})
}

/// A loop in a loop, with a way back after a failure.
fn rounds(retry: &Value) -> Value {
    json!({"timeout": "90s", "nodes": [
        {"id": "outer", "jobSlug": "work", "retry": retry},
        {"id": "inner", "jobSlug": "fragile", "retry": {"maxAttempts": 1}},
        {"id": "nap", "action": {"kind": "sleep", "duration": "2s"}},
        {"id": "tail", "action": {"kind": "transform", "output": 1}, "join": "any", "storeResultAs": "turns"},
        {"id": "end", "jobSlug": "work", "retry": retry}],
        "transitions": [{"from": "outer", "to": "inner"}, {"from": "outer", "to": "nap"},
            {"from": "inner", "to": "inner", "on": "failure", "maxIterations": 3},
            {"from": "inner", "to": "tail"}, {"from": "nap", "to": "tail"},
            {"from": "tail", "to": "outer", "maxIterations": 2}, {"from": "tail", "to": "end", "priority": 1}]})
}

/// Ideas, judged by many, until a score is good enough.
fn ideas() -> Value {
    json!({"timeout": "90s", "nodes": [
        {"id": "ideate", "jobSlug": "work"},
        {"id": "judges", "forEach": {"items": 5, "join": {"quorum": 3},
            "body": {"id": "judge", "jobSlug": "fragile", "retry": {"maxAttempts": 1}}}},
        {"id": "rank", "action": {"kind": "transform", "output": "${{ has(state.turn) ? state.turn + 1 : 1 }}"},
            "storeResultAs": "turn"},
        {"id": "poor", "action": "noop", "join": "any"},
        {"id": "publish", "retry": {"maxAttempts": 2, "delay": "1s"}, "timeout": "20s", "allowFailure": true,
            "group": {"steps": [{"id": "print", "jobSlug": "fragile", "retry": {"maxAttempts": 1}},
                {"id": "send", "jobSlug": "work", "dependsOn": ["print"]}]}}],
        "finally": {"steps": [{"id": "sweep", "jobSlug": "work", "retry": {"maxAttempts": 2, "delay": "1s"}, "timeout": "9s"}]},
        "transitions": [{"from": "ideate", "to": "judges"}, {"from": "judges", "to": "rank"},
            {"from": "judges", "to": "poor", "on": "failure"}, {"from": "rank", "to": "poor", "when": "state.turn < 2"},
            {"from": "poor", "to": "ideate", "maxIterations": 3},
            {"from": "rank", "to": "publish", "priority": 1}]})
}

/// Calls of others, for each item, in a race and one that takes too long.
fn calls(retry: &Value) -> Value {
    let call = |workflow: &str| json!({"kind": "workflow_call", "workflow": workflow});
    let caught = json!({"kind": "workflow_call", "workflow": "mended", "onFailure": "catch"});
    json!({"timeout": "120s", "nodes": [
        {"id": "each", "forEach": {"items": 3, "join": {"quorum": 2}, "onItemFailure": "continue",
            "body": {"id": "one", "action": call("chain"), "retry": {"maxAttempts": 2, "delay": "1s"}}}},
        {"id": "slow", "action": call("asleep"), "timeout": "7s", "retry": {"maxAttempts": 2}, "allowFailure": true},
        {"id": "caught", "action": caught, "input": {"n": "${{ input.n }}"}},
        {"id": "none", "action": call("nowhere")},
        {"id": "pinned", "action": {"kind": "workflow_call", "workflow": "fan", "version": 1}, "allowFailure": true},
        {"id": "end", "action": {"kind": "job", "jobSlug": "work"}, "retry": retry, "join": "any"}],
        "transitions": [{"from": "each", "to": "end"}, {"from": "each", "to": "end", "on": "failure"},
            {"from": "none", "to": "end", "on": "failure"}, {"from": "caught", "to": "end"}]})
}

/// Much of it has been done before, by the same node, by another, for another item or in another run.
fn again(retry: &Value) -> Value {
    let reuse = |key: &str| json!({"key": key, "scope": "workspace", "maxAge": "20s"});
    json!({"timeout": "90s", "steps": [
        {"id": "first", "jobSlug": "work", "retry": retry, "reuse": reuse("${{ input.n % 3 }}"),
            "produces": [{"assetId": "site.first"}]},
        {"id": "each", "dependsOn": ["first"], "forEach": {"items": 4, "join": {"quorum": 2}, "onItemFailure": "continue",
            "body": {"id": "part", "jobSlug": "fragile", "retry": {"maxAttempts": 2, "delay": "1s"},
                "produces": [{"assetId": "site.part", "optional": true}], "reuse": {"key": "${{ item % 2 }}"}}}},
        {"id": "race", "dependsOn": ["first"], "jobSlug": "work", "retry": {"maxAttempts": 1}, "timeout": "3s",
            "allowFailure": true, "reuse": "ifUnchanged"},
        {"id": "call", "dependsOn": ["first"], "action": {"kind": "workflow_call", "workflow": "mended", "onFailure": "catch"},
            "input": {"n": "${{ input.n }}"}, "reuse": {"key": "${{ input.n % 2 }}"}},
        {"id": "reads", "dependsOn": ["each", "call"], "jobSlug": "work", "retry": retry, "reuse": "ifUnchanged",
            "consumes": [{"assetId": "site.note", "onMiss": "ignore"}]}]})
}

/// It waits for what clients say, in a loop and for each item, and not for ever.
fn told(retry: &Value) -> Value {
    let wait = |id: &str| {
        json!({"id": id, "action": {"kind": "wait_signal", "signals": [{"name": "go"}, {"name": "stop"}],
            "reply": "${{ signal.payload / (input.n - 3) }}"},
            "timeout": "9s", "retry": {"maxAttempts": 2, "delay": "1s"}, "allowFailure": true})
    };
    json!({"nodes": [
        {"id": "each", "forEach": {"items": 3, "join": {"quorum": 2}, "body": wait("item")}},
        wait("turn"),
        {"id": "gate", "action": {"kind": "human_input", "title": "n is ${{ input.n }}", "due": "9s", "quorum": 2,
            "form": {"type": "integer", "maximum": 80}, "onInvalid": "fail"},
            "retry": {"maxAttempts": 2, "delay": "1s"}, "allowFailure": true},
        {"id": "work", "action": {"kind": "job", "jobSlug": "work"}, "retry": retry}],
        "transitions": [{"from": "each", "to": "turn"}, {"from": "turn", "to": "work"},
            {"from": "work", "to": "turn", "maxIterations": 2}]})
}

/// It goes on as itself three times, each time with what it was told and has not taken.
fn onward(retry: &Value) -> Value {
    let ear = |id: &str| {
        json!({"id": id, "action": {"kind": "wait_signal", "name": "go"}, "timeout": "2s", "allowFailure": true,
            "retry": {"maxAttempts": 1}})
    };
    let input = json!({"n": "${{ input.n }}", "left": "${{ input.left - 1 }}"});
    json!({"defaults": {"left": 3, "n": 0}, "output": {"left": "${{ input.left }}"},
        "finally": {"nodes": [{"id": "sweep", "jobSlug": "work", "retry": {"maxAttempts": 2}, "timeout": "9s"}]},
        "nodes": [ear("first"), ear("beside"),
        {"id": "work", "action": {"kind": "job", "jobSlug": "work"}, "retry": retry,
            "produces": [{"assetId": "site.step", "optional": true}]},
        {"id": "slow", "action": {"kind": "job", "jobSlug": "work"}, "retry": retry},
        {"id": "gate", "action": {"kind": "callback", "key": "${{ input.left }}"}, "timeout": "3s", "heartbeatTimeout": "2s",
            "allowFailure": true, "retry": {"maxAttempts": 2, "delay": "1s"}},
        {"id": "next", "action": {"kind": "continue_as", "version": "current", "input": input}}],
        "transitions": [{"from": "first", "to": "work"}, {"from": "work", "to": "next", "when": "input.left > 0"},
            {"from": "work", "to": "slow", "when": "input.left <= 0"}]})
}

/// Its nodes are undone where it ends badly: jobs, items, tries and turns, by jobs and by a run.
fn saga(retry: &Value) -> Value {
    let undo = json!({"jobSlug": "work", "retry": {"maxAttempts": 2, "delay": "1s"}, "timeout": "9s"});
    let called = json!({"action": {"kind": "workflow_call", "workflow": "pure"}, "input": {"n": "${{ input.n }}"}});
    json!({"timeout": "60s", "nodes": [
        {"id": "book", "jobSlug": "work", "retry": retry, "compensate": undo},
        {"id": "seats", "forEach": {"items": 3, "join": {"quorum": 2},
            "body": {"id": "seat", "jobSlug": "work", "retry": {"maxAttempts": 1}, "compensate": undo}}},
        {"id": "publish", "retry": {"maxAttempts": 2, "delay": "1s"}, "group": {"steps": [
            {"id": "hold", "jobSlug": "work", "retry": retry, "compensate": called},
            {"id": "judge", "dependsOn": ["hold"], "jobSlug": "fragile", "retry": {"maxAttempts": 1}}]}},
        {"id": "ship", "jobSlug": "work", "retry": {"maxAttempts": 1}, "compensate": {"action": "noop"}}],
        "finally": {"steps": [{"id": "sweep", "jobSlug": "work", "retry": {"maxAttempts": 2, "delay": "1s"}, "timeout": "9s"}]},
        "transitions": [{"from": "book", "to": "seats"}, {"from": "seats", "to": "publish"}, {"from": "publish", "to": "ship"},
            {"from": "ship", "to": "ship", "maxIterations": 2}]})
}

/// It calls itself until it has called often enough.
fn deep() -> Value {
    json!({"nodes": [
        {"id": "work", "action": {"kind": "job", "jobSlug": "work"}, "retry": {"maxAttempts": 2, "delay": "1s"}},
        {"id": "again", "action": {"kind": "workflow_call", "workflow": "deep",
            "input": {"n": "${{ input.n }}", "left": "${{ (has(input.left) ? input.left : 4) - 1 }}"}}},
        {"id": "end", "action": "noop"}],
        "transitions": [{"from": "work", "to": "again", "when": "!has(input.left) || input.left > 0"},
            {"from": "work", "to": "end", "priority": 1}]})
}

/// What a handler returns for a task.
pub fn outcome(task: &Task, chance: &mut Chance) -> ReportOutcome {
    let fragile = task.workflow.as_str() == "mended" && task.node.text() == "try";
    let is_inner = ["part", "inner", "judge"].contains(&task.node.node().as_str());
    if chance.percent(if fragile {
        50
    } else if is_inner {
        35
    } else {
        12
    }) {
        let permanent = chance.percent(15);
        let details = Some(Json::of(&json!({"attempt": task.attempt})));
        let retry_after_ms = (task.attempt.get() == 1).then_some(1_500);
        let (code, message) = ("boom".to_owned(), "it broke".to_owned());
        return ReportOutcome::Failed { code, message, permanent, details, retry_after_ms };
    }
    let asset = match task.workflow.as_str() {
        "make" => Some("site.report"),
        "use" => Some("site.archive"),
        "again" if task.node.text() == "first" => Some("site.first"),
        "again" if task.node.node().as_str() == "part" && chance.percent(50) => Some("site.part"),
        _ => None,
    };
    let assets = asset.into_iter().map(|id| ProducedAsset {
        asset_id: id.parse().unwrap(),
        payload: Json::of(&json!({"by": task.run})),
        produced_at: None,
        partition_key: None,
        schema: None,
        freshness: None,
    });
    ReportOutcome::Succeeded { output: Json::of(&json!({"node": task.node})), assets: assets.collect() }
}
