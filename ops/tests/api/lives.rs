//! From a definition to the end of its runs.

use reqwest::Method;
use serde_json::{Value, json};

use crate::engine::Engine;

fn pure() -> Value {
    json!({
        "slug": "pure",
        "inputSchema": {"type": "object", "properties": {"n": {"type": "integer"}}},
        "steps": [
            {"id": "first", "action": "noop"},
            {"id": "second", "dependsOn": ["first"], "action": {"kind": "transform", "output": {"n": "${{ input.n }}"}}},
        ],
    })
}

fn sleeper() -> Value {
    json!({"slug": "sleeper", "steps": [{"id": "wait", "action": {"kind": "sleep", "duration": "1h"}}]})
}

fn producer() -> Value {
    json!({"slug": "maker", "steps": [
        {"id": "make", "jobSlug": "make", "produces": [{"assetId": "Some.Report"}]},
        {"id": "use", "jobSlug": "use", "dependsOn": ["make"], "consumes": [{"assetId": "other.thing"}]},
    ]})
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_applied_can_be_started_read_followed_and_cancelled() {
    let engine = Engine::start().await;
    definitions_get_versions(&engine).await;
    runs_end_and_are_read(&engine).await;
    keys_start_once(&engine).await;
    nodes_say_how_far_they_came(&engine).await;
    a_tolerated_failure_is_shown(&engine).await;
    runs_are_followed_and_cancelled(&engine).await;
    assets_are_declared(&engine).await;
    operators_see_how_it_is(&engine).await;
    engine.stop().await;
}

/// Of `pure` there are two versions, of which the first is current.
async fn workflows_are_pinned(engine: &Engine) {
    let pin = async |version: Value| engine.post("/workflows/pure/pin", json!({"version": version})).await;
    let started = async || engine.post("/workflows/pure/runs", json!({})).await.data(202)["version"].clone();
    let pinned = pin(json!(2)).await;
    assert_eq!((&pinned.data(200)["version"], &pinned.data(200)["pinnedVersion"]), (&json!(1), &json!(2)));
    assert_eq!(started().await, 2);
    let token = pinned.data(200)["token"].as_str().unwrap();
    let shown = engine.get(&format!("/workflows/pure?minSeq={token}")).await;
    assert_eq!((&shown.data(200)["version"], &shown.data(200)["pinnedVersion"]), (&json!(1), &json!(2)));
    let listed = engine.get("/workflows").await.data(200)["workflows"].clone();
    assert_eq!(listed[0]["pinnedVersion"], 2, "{listed}");
    // What is applied is there, and does not start.
    let mut third = pure();
    third["description"] = json!("edition 3");
    let applied = engine.post("/workflows", third).await;
    assert_eq!(applied.data(201)["workflows"][0]["version"], 3);
    assert_eq!(started().await, 2);
    let explicit = engine.post("/workflows/pure/runs", json!({"version": 3})).await;
    assert_eq!(explicit.data(202)["version"], 3);
    pin(json!(9)).await.problem("workflow/version_not_found");
    pin(json!("x")).await.problem("request/invalid_field");
    pin(json!(0)).await.problem("request/invalid_field");
    engine.post("/workflows/pure/pin", json!({})).await.problem("request/invalid_field");
    engine.post("/workflows/nope/pin", json!({"version": null})).await.problem("workflow/not_found");
    assert_eq!(pin(json!(null)).await.data(200)["pinnedVersion"], json!(null));
    assert_eq!(started().await, 3);
    engine.post("/workflows?readable=10s", pure()).await.data(201);
    assert_eq!(started().await, 1);
}

async fn definitions_get_versions(engine: &Engine) {
    let both = engine.post("/workflows", json!([pure(), sleeper()])).await;
    let data = both.data(201);
    assert_eq!((&data["workflows"][0]["version"], &data["workflows"][0]["created"]), (&json!(1), &json!(true)));
    let token = data["token"].as_str().unwrap();
    assert_eq!(both.headers["headwater-token"], token);

    let again = engine.post("/workflows", json!({"workflows": [pure()]})).await;
    assert_eq!(again.data(200)["workflows"][0]["created"], false);
    let yaml = "slug: pure\nsteps:\n- {id: only, action: noop}\n";
    let second = engine.post_text("/workflows", "application/yaml", yaml).await;
    assert_eq!(second.data(201)["workflows"][0]["version"], 2);
    // The content of version 1 again makes version 1 current again, for the very next start too.
    let first = engine.post("/workflows", pure()).await;
    assert_eq!(first.body["data"]["workflows"][0]["version"], 1);
    let started = engine.post("/workflows/pure/runs", json!({})).await;
    assert_eq!(started.data(202)["version"], 1);

    // The other one may be on another shard.
    let token = format!("{token},{}", first.body["data"]["token"].as_str().unwrap());
    let listed = engine.get(&format!("/workflows?minSeq={token}")).await;
    let slugs: Vec<_> = listed.data(200)["workflows"].as_array().unwrap().iter().map(|w| w["slug"].clone()).collect();
    assert_eq!(slugs, ["pure", "sleeper"]);
    assert!(listed.headers.contains_key("headwater-lag-ms"));
    let page = engine.get("/workflows?limit=1").await;
    let next = page.data(200)["next"].as_str().unwrap();
    assert_eq!(
        engine.get(&format!("/workflows?limit=1&cursor={next}")).await.data(200)["workflows"][0]["slug"],
        "sleeper"
    );

    assert_eq!(engine.get("/workflows/pure").await.data(200)["version"], 1);
    assert_eq!(engine.get("/workflows/pure/versions").await.data(200)["versions"].as_array().unwrap().len(), 2);
    assert_eq!(engine.get("/workflows/pure/versions/2").await.data(200)["current"], false);
    workflows_are_pinned(engine).await;
    let compared = engine.get("/workflows/pure/versions/1/diff/2").await.data(200).clone();
    assert_eq!((&compared["from"], &compared["leftOut"]), (&json!(1), &json!(0)));
    assert!(!compared["changes"].as_array().unwrap().is_empty(), "{compared}");
    engine.get("/workflows/pure/versions/1/diff/4").await.problem("workflow/version_not_found");
    engine.get("/workflows/nope/versions/1/diff/2").await.problem("workflow/not_found");
    engine.get("/workflows/pure/versions/4").await.problem("workflow/version_not_found");
    engine.get("/workflows/nope").await.problem("workflow/not_found");
    engine.get("/workflows/nope/versions").await.problem("workflow/not_found");
    let elsewhere = engine.request(Method::GET, "/workflows/pure").header("headwater-workspace", "other");
    engine.send(elsewhere).await.problem("workflow/not_found");

    let mixed = engine
        .post("/workflows", json!([{"slug": "fresh", "steps": [{"id": "a", "action": "noop"}]}, {"slug": "bad"}]))
        .await;
    let problem = mixed.problem("definition/invalid");
    assert_eq!(problem["problems"][0]["document"], 1);
    assert_eq!(problem["problems"][0]["code"], "missing_field");
    assert_eq!(problem["problems"][0]["line"], 1);
    let yaml = "workflows:\n- slug: fresh\n  steps:\n  - {id: a, action: noop}\n- slug: bad\n  steps:\n  - id: a\n    use: x\n";
    let refused = engine.post_text("/workflows", "application/yaml", yaml).await;
    let problems = refused.problem("definition/invalid")["problems"].as_array().unwrap();
    let places: Vec<_> = problems.iter().map(|one| (one["path"].as_str(), &one["line"], &one["column"])).collect();
    let expected =
        [("/steps/0/jobSlug", 7, 5), ("/steps/0/use", 8, 5)].map(|(path, l, c)| (Some(path), json!(l), json!(c)));
    assert_eq!(places, expected.each_ref().map(|(path, line, column)| (*path, line, column)));
    engine.post("/workflows/fresh/runs", json!({})).await.problem("workflow/not_found");
    engine.post("/workflows", json!([sleeper(), sleeper()])).await.problem("definition/invalid");
    engine.post("/workflows/validate", pure()).await.data(200);
    engine.post("/workflows/validate", json!({"slug": "x"})).await.problem("definition/invalid");
}

async fn runs_end_and_are_read(engine: &Engine) {
    let ended = engine.post("/workflows/pure/runs?wait=30s", json!({"input": {"n": 7}})).await;
    let data = ended.data(200);
    assert_eq!(data["status"], "succeeded");
    let (run, token) = (data["runId"].as_str().unwrap(), data["token"].as_str().unwrap());
    assert_eq!(ended.headers["location"], format!("/runs/{run}"));
    let read = engine.get(&format!("/runs/{run}?minSeq={token}")).await;
    assert_eq!(read.data(200)["output"], json!({"second": {"n": 7}}));
    let by_header = engine.request(Method::GET, &format!("/runs/{run}/traces")).header("headwater-token", token);
    assert_eq!(engine.send(by_header).await.data(200)["traces"].as_array().unwrap().len(), 2);
    let events = engine.get(&format!("/runs/{run}/events?after=1")).await;
    assert_eq!(events.data(200)["events"][0]["revision"], 2);
    assert_eq!(engine.get(&format!("/runs/{run}/events?after=4")).await.data(200)["next"], Value::Null);
    let other = engine.post("/workflows/pure/runs?wait=30s", json!({"input": {"n": 8}})).await;
    let both = format!("{token},{}", other.data(200)["token"].as_str().unwrap());
    let listed = engine.get(&format!("/runs?workflow=pure&status=succeeded&limit=1&minSeq={both}")).await;
    assert_eq!(listed.data(200)["runs"][0]["runId"], other.data(200)["runId"]);
    let next = listed.data(200)["next"].as_str().unwrap();
    engine.get(&format!("/runs?workflow=pure&cursor={next}")).await.data(200);

    engine.post("/workflows/pure/runs", json!({"input": {"n": "seven"}})).await.problem("run/input_invalid");
    engine.post("/workflows/pure/runs", json!({"version": 9})).await.problem("workflow/version_not_found");
    engine.post(&format!("/runs/{run}/cancel"), json!({})).await.problem("run/closed");
    let elsewhere = engine.request(Method::GET, &format!("/runs/{run}")).header("headwater-workspace", "other");
    engine.send(elsewhere).await.problem("run/not_found");
}

async fn nodes_say_how_far_they_came(engine: &Engine) {
    let misses = json!({"slug": "misses", "steps": [
        {"id": "uses", "action": "noop",
         "consumes": [{"assetId": "retail.rwa", "partition": "2026-11-21", "onMiss": "fail"}]},
        {"id": "after", "action": "noop", "dependsOn": ["uses"]},
        {"id": "waits", "action": "noop", "consumes": [{"assetId": "other.thing", "onMiss": "wait"}]},
    ]});
    let applied = engine.post("/workflows?readable=10s", misses).await;
    let ended = engine.post("/workflows/misses/runs?wait=30s&readable=10s", json!({})).await;
    let run = engine.get(&format!("/runs/{}", ended.data(200)["runId"].as_str().unwrap())).await;
    let run = run.data(200);
    let message = run["error"]["message"].as_str().unwrap();
    assert_eq!(run["error"]["code"], "asset_missing");
    assert!(
        message.contains("retail.rwa has no version in partition \"2026-11-21\"; no workflow produces it"),
        "{message}"
    );
    let node = |id: &str| run["nodes"].as_array().unwrap().iter().find(|node| node["nodeId"] == id).unwrap().clone();
    assert_eq!((&node("uses")["status"], &node("uses")["attempts"]), (&json!("failed"), &json!(0)));
    assert_eq!((&node("after")["status"], &node("after")["reason"]), (&json!("skipped"), &json!("run_ended")));
    assert_eq!((&node("waits")["status"], &node("waits")["attempts"]), (&json!("cancelled"), &json!(0)));
    let tried = run["traces"].as_array().unwrap().iter().map(|trace| trace["attempt"].clone());
    assert!(tried.into_iter().all(|attempt| attempt == 0), "{run}");

    // Nobody produces what it consumes: said when it is applied, with what may have been meant.
    let warned = |answer: &Value| answer["workflows"][0]["warnings"].as_array().unwrap().clone();
    assert!(warned(applied.data(201)).iter().any(|one| one["code"] == "no_producer"), "{}", applied.body);
    let maker =
        json!({"slug": "retail", "steps": [{"id": "a", "action": "noop", "produces": [{"assetId": "retail.raw"}]}]});
    engine.post("/workflows?readable=10s", maker).await.data(201);
    let uses = |asset: &str| {
        json!({"slug": "misses", "steps": [
            {"id": "uses", "action": "noop", "consumes": [{"assetId": asset, "onMiss": "fail"}]},
        ]})
    };
    let misspelt = engine.post("/workflows/validate", uses("retail.rwa")).await;
    let warnings = warned(misspelt.data(200));
    assert_eq!((&warnings[0]["path"], &warnings[0]["code"]), (&json!("/steps/0/consumes/0"), &json!("no_producer")));
    assert!(warnings[0]["message"].as_str().unwrap().contains("did you mean `retail.raw`?"), "{warnings:?}");
    assert!(warned(engine.post("/workflows/validate", uses("retail.raw")).await.data(200)).is_empty());
}

async fn a_tolerated_failure_is_shown(engine: &Engine) {
    let lenient = json!({"slug": "lenient", "steps": [
        {"id": "may", "action": {"kind": "transform", "output": "${{ input.none }}"}, "allowFailure": true},
        {"id": "then", "action": "noop", "dependsOn": ["may"]},
    ]});
    engine.post("/workflows?readable=10s", lenient).await.data(201);
    let ended = engine.post("/workflows/lenient/runs?wait=30s&readable=10s", json!({})).await;
    let run = engine.get(&format!("/runs/{}", ended.data(200)["runId"].as_str().unwrap())).await;
    let run = run.data(200);
    let shown = [0, 1].map(|n| (&run["nodes"][n]["status"], &run["nodes"][n]["tolerated"]));
    assert_eq!(run["status"], "succeeded");
    assert_eq!(shown, [(&json!("failed"), &json!(true)), (&json!("succeeded"), &json!(false))]);
    let trace = run["traces"].as_array().unwrap().iter().find(|trace| trace["nodeId"] == "may").unwrap();
    assert_eq!((&trace["errorCode"], &trace["tolerated"]), (&json!("expression_error"), &json!(true)));
}

async fn keys_start_once(engine: &Engine) {
    let start = |text: &'static str| {
        let request =
            engine.request(Method::POST, "/workflows/pure/runs?wait=30s").header("idempotency-key", "order-1");
        engine.send(request.header("content-type", "application/json").body(text))
    };
    let first = start(r#"{"input":{"n":1}}"#).await;
    let again = start(r#"{"parameters":  {"n": 1} }"#).await;
    assert_eq!(first.data(200)["runId"], again.data(200)["runId"]);
    assert_eq!((&first.data(200)["replayed"], &again.data(200)["replayed"]), (&json!(false), &json!(true)));
    let other = start(r#"{"input":{"n":2}}"#).await;
    assert_eq!(other.problem("run/key_reused")["runId"], first.data(200)["runId"]);
}

async fn runs_are_followed_and_cancelled(engine: &Engine) {
    let started = engine.post("/workflows/sleeper/runs?wait=1ms", json!({})).await;
    let data = started.data(202);
    assert_eq!(data["status"], "running");
    let (run, token) = (data["runId"].as_str().unwrap(), data["token"].as_str().unwrap());
    let stream = format!("/runs/{run}/events/stream?minSeq={token}");
    let mut following = engine.request(Method::GET, &stream).send().await.unwrap();
    let mut text = String::new();
    while !text.contains("attemptScheduled") {
        let chunk = following.chunk().await.unwrap().expect("the run goes on");
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    let elsewhere = engine.request(Method::POST, &format!("/runs/{run}/cancel")).header("headwater-workspace", "other");
    engine.send(elsewhere).await.problem("run/not_found");
    let cancelled = engine.post(&format!("/runs/{run}/cancel"), json!({"reason": "enough"})).await;
    assert_eq!(cancelled.data(200)["status"], "cancelled");
    let late = engine.request(Method::POST, &format!("/runs/{run}/cancel")).header("headwater-workspace", "other");
    engine.send(late).await.problem("run/not_found");
    engine.post(&format!("/runs/{run}/cancel"), json!({})).await.problem("run/closed");
    while let Some(chunk) = following.chunk().await.unwrap() {
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    assert!(text.contains("runCancelled"), "it ends with the run: {text}");
    let last: u64 = text.rsplit("id: ").next().unwrap().lines().next().unwrap().parse().unwrap();

    let resume = |after: u64| engine.request(Method::GET, &stream).header("last-event-id", after).send();
    let rest = resume(last - 1).await.unwrap().text().await.unwrap();
    assert!(rest.starts_with(&format!("id: {last}\n")) && rest.contains("runCancelled"), "{rest}");
    // At the last event and behind it nothing follows: whoever polls is told to stop.
    for seen in [last, last + 1, i64::MAX as u64, u64::MAX] {
        assert_eq!(resume(seen).await.unwrap().status(), reqwest::StatusCode::NO_CONTENT, "{seen}");
    }
    let after = format!("/runs/{run}/events/stream?after={last}&minSeq={token}");
    assert_eq!(engine.request(Method::GET, &after).send().await.unwrap().status(), reqwest::StatusCode::NO_CONTENT);
    engine.post(&format!("/runs/{run}/cancel"), json!({})).await.problem("run/closed");
    let unknown = "/runs/01a1fd57-1f7e-7daa-8743-cc3c4dfbf400";
    engine.post(&format!("{unknown}/cancel"), json!({})).await.problem("run/not_found");
    engine.get(unknown).await.problem("run/not_found");
    engine.get(&format!("{unknown}/events")).await.problem("run/not_found");
    engine.get(&format!("{unknown}/events/stream")).await.problem("run/not_found");
}

async fn assets_are_declared(engine: &Engine) {
    let token = engine.apply(producer()).await;
    let inventory = engine.get(&format!("/workflows/maker/assets?minSeq={token}")).await;
    let assets = inventory.data(200)["assets"].as_array().unwrap();
    let ids: Vec<_> = assets.iter().map(|asset| asset["assetId"].as_str().unwrap()).collect();
    assert_eq!(ids, ["other.thing", "Some.Report"]);
    assert_eq!(assets[1]["producers"][0]["stepId"], "make");
    assert_eq!((&assets[1]["latest"], &assets[1]["available"]), (&Value::Null, &json!(false)));
    let history = engine.get("/workflows/maker/assets/some.report/history?limit=5").await;
    assert_eq!(history.data(200)["history"], json!([]));
    engine.get("/workflows/maker/assets/no.such/history").await.problem("asset/not_declared");
    engine.get("/workflows/nope/assets/no.such/history").await.problem("workflow/not_found");
    engine.get("/workflows/nope/assets").await.problem("workflow/not_found");
    assert_eq!(engine.get("/assets/SOME.report").await.data(200)["producers"][0]["workflow"], "maker");
    engine.get("/assets/some.report/history").await.data(200);
    engine.get("/assets?prefix=some").await.data(200);
    engine.get("/assets/no.such").await.problem("asset/not_found");
    engine.get("/assets/no.such/history").await.problem("asset/not_found");
    engine.get("/queues/make").await.data(200);
}

async fn operators_see_how_it_is(engine: &Engine) {
    assert_eq!(engine.get("/readyz").await.data(200)["ready"], true);
    engine.get("/livez").await.data(200);
    assert_eq!(engine.get("/projection").await.data(200)["deadEventCount"], 0);
    engine.get("/problems").await.data(200);
    assert_eq!(engine.get("/problems/run/not_found").await.data(200)["status"], 404);
    assert_eq!(engine.get("/openapi.json").await.body["openapi"], "3.1.0");
    let metrics = engine.get("/metrics").await;
    let text = metrics.body.as_str().unwrap();
    for line in ["headwater_shards_owned 2", "route=\"/runs/{runId}\"", "headwater_projection_lag_seconds{shard=\"0\"}"]
    {
        assert!(text.contains(line), "{line} is missing:\n{text}");
    }
    assert!(!text.contains("01a1fd57"), "ids make no figures of their own");
}
