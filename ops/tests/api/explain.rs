//! Why a run stands where it does, and what happened between two of its events, as the API tells it.

use serde_json::{Value, json};

use crate::engine::Engine;

fn document() -> Value {
    let large = "${{ lists.range(200).map(i, input.pad) }}";
    json!({"slug": "told", "nodes": [
        {"id": "route", "action": {"kind": "transform", "output": 7}},
        {"id": "small", "action": "noop"},
        {"id": "work", "jobSlug": "nobody-serves-this"},
        {"id": "all", "forEach": {"items": large, "body": {"steps": [{"id": "nap", "action": {"kind": "sleep", "duration": "1h"}}]}}},
        {"id": "sorry", "action": "noop"}],
        "transitions": [
            {"from": "route", "to": "work", "when": "nodes.route.output > 3", "priority": 1},
            {"from": "route", "to": "all", "priority": 1},
            {"from": "route", "to": "small", "priority": 2},
            {"from": "work", "to": "sorry", "on": "failure"}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_says_what_it_waits_for_what_decided_and_what_could_still_fire() {
    let engine = Engine::start().await;
    engine.apply(document()).await;
    let input = json!({"input": {"pad": "x".repeat(1_000)}});
    let started = engine.post("/workflows/told/runs", input).await;
    let data = started.data(202);
    let (run, token) = (data["runId"].as_str().unwrap(), data["token"].as_str().unwrap());
    // What a run cannot do in one decision it does after its start was answered.
    let read = async |query: &str| engine.get(&format!("/runs/{run}/explain?minSeq={token}{query}")).await;
    let opened = async {
        while read("").await.data(200)["branch"]["othersOpen"] != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::engine::DEADLINE, opened).await.expect("the items begin");

    let now = read("&limit=2").await;
    let now = now.data(200);
    assert_eq!((&now["status"], &now["branch"]["othersOpen"]), (&json!("running"), &json!(200)));
    // The job, the `forEach`, and each of its items.
    assert_eq!((&now["waitsFor"]["total"], now["waitsFor"]["first"].as_array().unwrap().len()), (&json!(202), 2));
    let waits = &now["waitsFor"]["first"];
    let of = |node: &str| waits.as_array().unwrap().iter().find(|wait| wait["node"] == node).unwrap();
    assert_eq!(of("work")["for"], "worker");
    assert_eq!(
        (&of("all")["for"], &of("all")["items"], &of("all")["open"]),
        (&json!("items"), &json!(200), &json!(200))
    );
    assert_eq!(now["decided"]["first"][0]["ways"]["first"][2]["because"], "earlierTier");
    assert_eq!(now["skipped"]["first"][0]["node"], "small");
    assert_eq!(now["couldFire"]["first"][0]["to"], "sorry");
    let item = read("&branch=7").await;
    let item = item.data(200);
    assert_eq!((&item["branch"]["kind"], &item["branch"]["position"]), (&json!("item"), &json!(6)));
    assert_eq!((&item["waitsFor"]["total"], &item["waitsFor"]["first"][0]["for"]), (&json!(1), &json!("time")));

    let cancelled = engine.post(&format!("/runs/{run}/cancel"), json!({"reason": "enough"})).await;
    let token = cancelled.data(200)["token"].as_str().unwrap().to_owned();
    let ended = async {
        loop {
            let ended = engine.get(&format!("/runs/{run}/explain?minSeq={token}")).await;
            if ended.data(200)["status"] == "cancelled" {
                return ended.body["data"].clone();
            }
        }
    };
    let ended = tokio::time::timeout(crate::engine::DEADLINE, ended).await.expect("it ends");
    assert_eq!((&ended["end"]["error"]["code"], &ended["waitsFor"]["total"]), (&json!("cancelled"), &json!(0)));

    for (query, status, code) in [
        ("&branch=5000", 404, "run/moment_not_found"),
        ("&branch=-1", 400, "request/invalid_parameter"),
        ("&branch=4294967296", 400, "request/invalid_parameter"),
        ("&limit=0", 400, "request/invalid_parameter"),
        ("&limit=1001", 400, "request/invalid_parameter"),
        ("&node=work", 400, "request/invalid_parameter"),
    ] {
        let refused = read(query).await;
        assert_eq!((refused.status.as_u16(), &refused.body["code"]), (status, &json!(code)), "{query}");
    }
    let elsewhere = engine.request(reqwest::Method::GET, &format!("/runs/{run}/explain"));
    engine.send(elsewhere.header("headwater-workspace", "elsewhere")).await.problem("run/not_found");
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_read_by_a_range_of_revisions() {
    let engine = Engine::start().await;
    let step = |n: usize| json!({"id": format!("n{n}"), "action": "noop"});
    let steps: Vec<_> =
        (0..6).map(step).chain([json!({"id": "nap", "action": {"kind": "sleep", "duration": "1ms"}})]).collect();
    engine.apply(json!({"slug": "ranges", "steps": steps})).await;
    let ended = engine.post("/workflows/ranges/runs?wait=60s", json!({})).await;
    let (run, token) = (ended.data(200)["runId"].as_str().unwrap(), ended.data(200)["token"].as_str().unwrap());
    let read = async |query: &str| engine.get(&format!("/runs/{run}/events?minSeq={token}{query}")).await;
    let revisions = |page: &Value| -> Vec<u64> {
        page["events"].as_array().unwrap().iter().map(|event| event["revision"].as_u64().unwrap()).collect()
    };
    let all = read("").await;
    let last = *revisions(all.data(200)).last().unwrap();
    assert!(last >= 9, "{}", all.body);

    // The first commit holds more than one event: its ends are cut.
    let part = read("&from=2&to=4").await;
    assert_eq!((revisions(part.data(200)), &part.body["data"]["next"]), (vec![2, 3, 4], &Value::Null));
    let one = read(&format!("&from={last}&to={last}")).await;
    assert_eq!((revisions(one.data(200)), &one.body["data"]["next"]), (vec![last], &Value::Null));
    let beyond = read(&format!("&from={}", last + 1)).await;
    assert_eq!(revisions(beyond.data(200)), [0; 0]);
    // Page by page it is the same range, whatever the pages are.
    let (mut after, mut paged) = ("0".to_owned(), Vec::new());
    loop {
        let page = read(&format!("&limit=1&from=3&to={}&after={after}", last - 1)).await;
        paged.extend(revisions(page.data(200)));
        let Some(next) = page.data(200)["next"].as_str() else { break };
        after = next.to_owned();
    }
    assert_eq!(paged, (3..last).collect::<Vec<_>>());
    let within = read("&from=1&to=5&after=3").await;
    assert_eq!(revisions(within.data(200)), [4, 5]);
    for query in ["&from=5&to=4", "&to=0", "&from=-1", "&to=x", "&from=18446744073709551616"] {
        read(query).await.problem("request/invalid_parameter");
    }
    read("&from=18446744073709551615").await.data(200);
    engine.stop().await;
}
