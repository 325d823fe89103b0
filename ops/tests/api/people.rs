//! What people are asked, and answer.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::engine::Engine;

async fn start(engine: &Engine) -> (String, String) {
    let started = engine.post("/workflows/gate/runs", json!({"input": {"what": "it"}})).await.data(202).clone();
    (started["runId"].as_str().unwrap().to_owned(), started["token"].as_str().unwrap().to_owned())
}

async fn tasks(engine: &Engine, query: &str, token: &str) -> Vec<Value> {
    let page = engine.get(&format!("/tasks?{query}minSeq={token}")).await.data(200).clone();
    page["tasks"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_are_asked_is_listed_answered_and_closed() {
    let engine = Engine::start().await;
    let form = json!({"type": "object", "required": ["publish"], "properties": {"publish": {"type": "boolean"}}});
    let gate = json!({"id": "gate", "action": {"kind": "human_input", "title": "Publish ${{ input.what }}?", "form": form,
        "assignees": ["ada", "bo"], "quorum": 2, "due": "2d"}});
    engine.apply(json!({"slug": "gate", "steps": [gate]})).await;
    let (run, token) = start(&engine).await;
    let (other, token_of_other) = start(&engine).await;
    let both = format!("{token},{token_of_other}");
    let both = if token.split(':').next() == token_of_other.split(':').next() { token_of_other } else { both };

    let open = tasks(&engine, "", &both).await;
    assert_eq!(open.iter().map(|task| task["runId"].clone()).collect::<Vec<_>>(), [json!(run), json!(other)]);
    assert_eq!((&open[0]["title"], &open[0]["status"]), (&json!("Publish it?"), &json!("waiting")));
    assert_eq!((&open[0]["assignees"], &open[0]["quorum"]), (&json!(["ada", "bo"]), &json!(2)));
    assert_eq!(tasks(&engine, "assignee=ada&workflow=gate&", &both).await.len(), 2);
    assert_eq!(tasks(&engine, "assignee=eve&", &both).await.len(), 0);
    assert_eq!(tasks(&engine, &format!("run={other}&"), &both).await.len(), 1);
    let page = engine.get("/tasks?limit=1").await.data(200).clone();
    let next = engine.get(&format!("/tasks?limit=1&cursor={}", page["next"].as_str().unwrap())).await.data(200).clone();
    assert_eq!((&next["tasks"][0]["runId"], &next["next"]), (&json!(other), &Value::Null));
    let id = open[0]["taskId"].as_str().unwrap();
    let one = engine.get(&format!("/tasks/{id}")).await.data(200).clone();
    assert_eq!((&one["form"], &one["node"], &one["attempt"]), (&form, &json!("gate"), &json!(1)));
    let foreign = engine.request(Method::GET, &format!("/tasks/{id}")).header("headwater-workspace", "other");
    engine.send(foreign).await.problem("task/not_found");
    engine.get("/tasks/nothing").await.problem("request/invalid_name");
    engine.get("/tasks?cursor=7").await.problem("request/invalid_cursor");
    engine.get("/tasks?status=all").await.problem("request/invalid_parameter");
    engine.get("/tasks?assignee=%20ada").await.problem("request/invalid_parameter");

    let path = format!("/runs/{run}/tasks/gate/answers");
    let say = async |by: &str, value: Value, key: &str| {
        let body = json!({"value": value, "by": by});
        engine.send(engine.request(Method::POST, &path).header("idempotency-key", key).json(&body)).await
    };
    let yes = json!({"publish": true});
    let wrong = say("ada", json!({"publish": 7}), "w").await;
    let detail = wrong.problem("task/answer_invalid")["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("(at /publish)"), "{detail}");
    say("eve", yes.clone(), "e").await.problem("task/not_assigned");
    let answered = say("ada", yes.clone(), "a").await.data(200).clone();
    assert_eq!(answered["by"], json!({"claimed": "ada"}));
    assert_eq!(say("ada", yes.clone(), "a").await.data(200)["answerId"], answered["answerId"], "it is the same answer");
    say("ada", json!({"publish": false}), "a").await.problem("run/key_reused");
    say("ada", yes.clone(), "b").await.problem("task/already_answered");
    let heard = answered["token"].as_str().unwrap();
    let explained = engine.get(&format!("/runs/{run}/explain?minSeq={heard}")).await.data(200).clone();
    let wait = &explained["waitsFor"]["first"][0];
    assert_eq!((&wait["for"], &wait["answered"]), (&json!("person"), &json!([{"claimed": "ada"}])));
    assert!(wait["timesOutAt"].is_string(), "{wait}");

    let move_it = format!("/runs/{run}/tasks/gate/reassign");
    engine.post(&move_it, json!({"assignees": []})).await.problem("task/assignees_invalid");
    engine.post(&move_it, json!({})).await.problem("request/invalid_field");
    let moved =
        engine.post(&move_it, json!({"assignees": ["cy"], "reason": "away", "attempt": 1})).await.data(200).clone();
    let seen = engine.get(&format!("/tasks/{id}?minSeq={}", moved["token"].as_str().unwrap())).await.data(200).clone();
    assert_eq!((&seen["assignees"], &seen["answers"][0]["by"]), (&json!(["cy"]), &json!({"claimed": "ada"})));
    say("bo", yes.clone(), "c").await.problem("task/not_assigned");

    engine.post(&path, json!({"by": "cy"})).await.problem("request/invalid_field");
    engine.post(&path, json!({"value": yes})).await.problem("request/invalid_field");
    engine.post(&path, json!({"value": yes, "by": " cy"})).await.problem("request/invalid_field");
    engine.post(&path, json!({"value": yes, "by": "cy", "attempt": 0})).await.problem("request/invalid_field");
    engine.post(&path, json!({"value": yes, "by": "cy", "when": "now"})).await.problem("request/unknown_field");
    engine.post(&path, json!({"value": yes, "by": "cy", "attempt": 2})).await.problem("task/closed");
    engine.post(&path, json!({"value": "x".repeat(256 << 10), "by": "cy"})).await.problem("task/answer_invalid");
    let nowhere = format!("/runs/{run}/tasks/nothing/answers");
    engine.post(&nowhere, json!({"value": yes, "by": "cy"})).await.problem("task/not_found");
    let body = json!({"value": yes, "by": "cy"});
    let foreign = engine.request(Method::POST, &path).header("headwater-workspace", "other").json(&body);
    engine.send(foreign).await.problem("run/not_found");

    // Who says who it is in the header needs to say it nowhere else.
    let by_header = engine.request(Method::POST, &path).header("headwater-actor", "cy").json(&json!({"value": yes}));
    let last = engine.send(by_header).await.data(200).clone();
    let token = last["token"].as_str().unwrap();
    let ended = engine.get(&format!("/runs/{run}?minSeq={token}")).await.data(200).clone();
    assert_eq!(ended["status"], "succeeded");
    let made = &ended["output"]["gate"];
    assert_eq!((&made[0]["by"], &made[1]["by"], &made[1]["value"]), (&json!("ada"), &json!("cy"), &yes));
    let closed = engine.get(&format!("/tasks/{id}")).await.data(200).clone();
    assert_eq!((&closed["status"], closed["answers"].as_array().unwrap().len()), (&json!("succeeded"), 2));
    assert_eq!(tasks(&engine, "", token).await.len(), 1);
    say("cy", yes.clone(), "z").await.problem("task/closed");
    engine.post(&move_it, json!({"assignees": ["cy"]})).await.problem("task/closed");

    // A cancelled run asks nobody any more.
    let cancelled = engine.post(&format!("/runs/{other}/cancel"), json!({})).await.data(200).clone();
    assert_eq!(tasks(&engine, "", cancelled["token"].as_str().unwrap()).await.len(), 0);
    tokio::time::timeout(Duration::from_secs(60), engine.stop()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn people_answer_and_are_asked_too_late_while_the_database_is_away() {
    let mut engine = Engine::start().await;
    let ask = |id: &str| {
        json!({"id": id, "action": {"kind": "human_input", "title": "Well?", "form": {"type": "boolean"},
        "assignees": ["ada"]}})
    };
    let wait = json!({"id": "told", "action": {"kind": "wait_signal", "name": "tell", "reply": {"heard": "${{ signal.payload }}"}}});
    engine.apply(json!({"slug": "gate", "steps": [ask("gate"), ask("other"), wait]})).await;
    let (run, _) = start(&engine).await;
    engine.servers.postgres.kill().await.unwrap();
    let say = async |node: &str, by: &str| {
        engine.post(&format!("/runs/{run}/tasks/{node}/answers"), json!({"value": true, "by": by})).await
    };
    let assign = async |node: &str, to: &str| {
        let body = json!({"assignees": [to], "reason": "away"});
        engine.post(&format!("/runs/{run}/tasks/{node}/reassign"), body).await
    };
    say("gate", "bo").await.problem("task/not_assigned");
    assign("gate", "bo").await.data(200);
    say("gate", "ada").await.problem("task/not_assigned");
    say("gate", "bo").await.data(200);
    assign("gate", "cy").await.problem("task/closed");
    say("gate", "cy").await.problem("task/closed");
    let told =
        engine.post(&format!("/runs/{run}/updates"), json!({"name": "tell", "payload": 7})).await.data(200).clone();
    assert_eq!(told["reply"], json!({"heard": 7}));
    say("other", "ada").await.data(200);
    engine.servers.postgres.restart().await.unwrap();
    let ended = async || engine.get(&format!("/runs/{run}")).await.body["data"]["status"] == "succeeded";
    engine.until("it has ended, and can be read", ended).await;
    let body = json!({"assignees": ["cy"], "reason": "away"});
    engine.post(&format!("/runs/{run}/tasks/other/reassign"), body).await.problem("task/closed");
    engine.stop().await;
}
