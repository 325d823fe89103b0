//! Why a run stands where it does.

use std::sync::Arc;

use headwater_core::definition::{Definition, compile};
use headwater_core::run::{Account, RunCommand, RunEvent, StartWishes};
use headwater_core::shard::{AggregateId, Command, Event};
use headwater_core::{BranchId, RunId, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::laws::{graphs, play};
use crate::world::{World, failed, ok};

/// What happened in a run so far.
pub fn events(world: &World, run: RunId) -> Vec<(RunEvent, Timestamp)> {
    let commits = world.commits.iter().filter(|commit| commit.aggregate == AggregateId::Run(run));
    let events = commits.flat_map(|commit| commit.events.iter().map(|event| (event, commit.time)));
    let own = events.filter_map(|(event, time)| match event {
        Event::Run(event) => Some((event.clone(), time)),
        _ => None,
    });
    own.collect()
}

fn account(definition: &Arc<Definition>, run: RunId, branch: u32, limit: usize) -> Account {
    Account::of(run, definition.clone(), BranchId::new(branch), limit)
}

fn explained_in(world: &World, run: RunId, document: &Value, branch: u32, limit: usize) -> Value {
    let definition = Arc::new(compile(document).unwrap().0);
    let mut account = account(&definition, run, branch, limit);
    events(world, run).iter().for_each(|(event, time)| account.learn(event, *time).unwrap());
    serde_json::to_value(account.explanation().unwrap()).unwrap()
}

fn explained(world: &World, run: RunId, document: &Value) -> Value {
    explained_in(world, run, document, 0, 100)
}

/// The entry of a node in one of the lists.
fn of<'e>(explanation: &'e Value, list: &str, node: &str) -> &'e Value {
    let entries = explanation[list]["first"].as_array().unwrap();
    entries.iter().find(|entry| entry["node"] == node).unwrap_or_else(|| panic!("{node} in {explanation:#}"))
}

/// The verdicts of some ways, by where they lead or come from.
fn verdicts(ways: &Value, end: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    ways["first"].as_array().unwrap().iter().map(|way| (text(&way[end]), text(&way["because"]))).collect()
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(end, verdict)| ((*end).to_owned(), (*verdict).to_owned())).collect()
}

fn routes() -> Value {
    json!({"slug": "routes", "timeout": "1h", "nodes": [
        {"id": "route", "jobSlug": "work"}, {"id": "big", "jobSlug": "work", "timeout": "5m"},
        {"id": "small", "action": "noop"}, {"id": "behind", "action": "noop"},
        {"id": "sorry", "action": "noop"}, {"id": "end", "action": "noop"}],
        "transitions": [
            {"from": "route", "to": "big", "when": "nodes.route.output > 3", "priority": 1},
            {"from": "route", "to": "end", "when": "nodes.route.output > 100", "priority": 1},
            {"from": "route", "to": "small", "when": "nodes.route.output < 300", "priority": 2},
            {"from": "route", "to": "sorry", "on": "failure"},
            {"from": "small", "to": "behind"}, {"from": "big", "to": "end"},
            {"from": "big", "to": "sorry", "on": "failure", "when": "error.code == 'x'"},
            {"from": "big", "to": "behind", "priority": 9}]})
}

#[test]
fn what_decided_and_what_was_skipped_for_it_and_what_could_still_fire() {
    let mut world = World::with(&routes());
    let run = world.start("routes", json!({}));
    world.settle();
    let began = world.now.to_string();
    let before = explained(&world, run, &routes());
    let waits = of(&before, "waitsFor", "route");
    assert_eq!((&waits["for"], &waits["queue"], &waits["since"]), (&json!("worker"), &json!("work"), &json!(began)));
    assert_eq!(before["couldFire"]["total"], 7, "behind a tier that always wins nothing fires: {before:#}");
    assert_eq!(before["timesOutAt"], world.now.after(std::time::Duration::from_secs(3_600)).to_string());

    world.pass(10);
    let task = world.tasks().remove(0);
    world.report(&task, ok(json!(7))).unwrap();
    world.settle();
    let now = explained(&world, run, &routes());
    let route = of(&now, "decided", "route");
    assert_eq!(
        (&route["status"], &route["tier"], &route["at"]),
        (&json!("succeeded"), &json!(1), &json!(world.now.to_string()))
    );
    let expected =
        [("big", "conditionTrue"), ("end", "conditionNotTrue"), ("small", "earlierTier"), ("sorry", "otherOutcome")];
    assert_eq!(verdicts(&route["ways"], "to"), pairs(&expected));
    assert_eq!(route["ways"]["first"][0]["when"], "nodes.route.output > 3");
    let small = of(&now, "skipped", "small");
    assert_eq!(small["reason"], "noWayIn");
    assert_eq!(verdicts(&small["waysIn"], "from"), pairs(&[("route", "earlierTier")]));
    let big = of(&now, "waitsFor", "big");
    assert_eq!(big["since"], world.now.to_string());
    assert_eq!(big["timesOutAt"], world.now.after(std::time::Duration::from_secs(300)).to_string());
    let open = now["couldFire"]["first"].as_array().unwrap();
    let open: Vec<_> = open.iter().map(|way| (way["from"].as_str().unwrap(), way["to"].as_str().unwrap())).collect();
    assert_eq!(open, [("big", "end"), ("big", "sorry")]);

    let task = world.tasks().remove(0);
    world.report(&task, ok(json!(1))).unwrap();
    world.settle();
    let after = explained(&world, run, &routes());
    assert_eq!((&after["status"], &after["end"]["status"]), (&json!("succeeded"), &json!("succeeded")));
    assert_eq!((&after["waitsFor"]["total"], &after["couldFire"]["total"]), (&json!(0), &json!(0)));
    let behind = of(&after, "skipped", "behind");
    let expected = [("small", "sourceSkipped"), ("big", "earlierTier")];
    assert_eq!(verdicts(&behind["waysIn"], "from"), pairs(&expected));
}

#[test]
fn a_retry_says_when_and_after_what_and_a_sleep_until_when() {
    let retry = json!({"maxAttempts": 3, "backoff": "fixed", "delay": "1m"});
    let document = json!({"slug": "waits", "steps": [
        {"id": "again", "jobSlug": "work", "retry": retry},
        {"id": "nap", "action": {"kind": "sleep", "duration": "1h"}},
        {"id": "asset", "jobSlug": "work", "consumes": [{"assetId": "site.day", "partition": "mon", "onMiss": "wait"}]}]});
    let mut world = World::with(&document);
    let run = world.start("waits", json!({}));
    world.settle();
    world.deliver_submissions();
    let (began, task) = (world.now, world.tasks().remove(0));
    world.pass(5);
    world.report(&task, failed("boom")).unwrap();
    let now = explained(&world, run, &document);
    let again = of(&now, "waitsFor", "again");
    assert_eq!(
        (&again["for"], &again["attempt"], &again["error"]["code"]),
        (&json!("retry"), &json!(2), &json!("boom"))
    );
    assert_eq!(again["since"], world.now.to_string());
    assert!(again["until"].as_str().unwrap() > world.now.to_string().as_str());
    let nap = of(&now, "waitsFor", "nap");
    assert_eq!((&nap["for"], &nap["since"]), (&json!("time"), &json!(began.to_string())));
    assert_eq!(nap["until"], began.after(std::time::Duration::from_secs(3_600)).to_string());
    let asset = of(&now, "waitsFor", "asset");
    assert_eq!(asset["for"], "assets");
    let wanted = json!({"total": 1, "first": [
        {"assetId": "site.day", "partitionKey": "mon", "require": "exists", "onMiss": "wait"}]});
    assert_eq!(asset["assets"], wanted);
    // When the run is cancelled, nothing of it waits, and what never began says so.
    let command = RunCommand::CancelRun { workspace: None, reason: "enough".to_owned(), grace_ms: 0 };
    world.decide(Command::Run { run, command }).unwrap();
    world.settle();
    let ended = explained(&world, run, &document);
    assert_eq!((&ended["end"]["error"]["code"], &ended["waitsFor"]["total"]), (&json!("cancelled"), &json!(0)));
}

#[test]
fn items_are_counted_and_told_of_one_by_one_also_when_they_have_ended() {
    let document = json!({"slug": "each", "nodes": [
        {"id": "all", "forEach": {"items": "${{ input.items }}", "maxConcurrency": 2, "tolerate": 1, "body": {"steps": [
            {"id": "one", "jobSlug": "work", "retry": {"maxAttempts": 1}},
            {"id": "rest", "dependsOn": ["one"], "when": "nodes.one.output == 1", "action": {"kind": "sleep", "duration": "1h"}}]}}},
        {"id": "never", "action": "noop"}],
        "transitions": [{"from": "all", "to": "never", "when": "size(nodes.all.output) > 9"}]});
    let mut world = World::with(&document);
    let run = world.start("each", json!({"items": ["a", "b", "c", "d"]}));
    world.settle();
    let tasks = world.tasks();
    world.report(&tasks[0], ok(json!(1))).unwrap();
    world.report(&tasks[1], failed("boom")).unwrap();
    world.settle();
    let now = explained_in(&world, run, &document, 0, 2);
    assert_eq!(now["branch"]["othersOpen"], 2);
    let all = of(&now, "waitsFor", "all");
    let counts = ["items", "opened", "open", "succeeded", "failed"].map(|name| all[name].as_u64().unwrap());
    assert_eq!((&all["for"], counts), (&json!("items"), [4, 3, 2, 0, 1]));
    assert_eq!((&now["waitsFor"]["total"], now["waitsFor"]["first"].as_array().unwrap().len()), (&json!(3), 2));
    let first = explained_in(&world, run, &document, 1, 100);
    assert_eq!(first["branch"], json!({"branch": 1, "node": "all", "kind": "item", "position": 0, "othersOpen": 2}));
    assert_eq!(first["waitsFor"]["total"], 1);
    assert_eq!(of(&first, "waitsFor", "rest@1")["for"], "time");
    assert_eq!(verdicts(&of(&first, "decided", "one@1")["ways"], "to"), pairs(&[("rest", "conditionTrue")]));
    // The second has ended, and is told of as it was then.
    let second = explained_in(&world, run, &document, 2, 100);
    assert_eq!((&second["branch"]["ended"], &second["branch"]["error"]["code"]), (&json!("failed"), &json!("boom")));
    assert_eq!(of(&second, "decided", "one@2")["error"]["code"], "boom");
    let rest = of(&second, "skipped", "rest@2");
    assert_eq!(
        (&rest["reason"], verdicts(&rest["waysIn"], "from")),
        (&json!("ended"), pairs(&[("one", "otherOutcome")]))
    );
    let definition = Arc::new(compile(&document).unwrap().0);
    let mut none = account(&definition, run, 9, 100);
    assert_eq!(none.explanation(), None, "nothing has happened");
    events(&world, run).iter().for_each(|(event, time)| none.learn(event, *time).unwrap());
    assert_eq!(none.explanation(), None, "there is no branch 9");
}

#[test]
fn a_loop_says_what_it_dropped_and_that_it_has_led_back_as_often_as_it_may() {
    let document = json!({"slug": "drafts", "nodes": [
        {"id": "draft", "jobSlug": "work", "retry": {"maxAttempts": 1}},
        {"id": "note", "action": "noop", "onNoRoute": "end"}, {"id": "done", "action": "noop"},
        {"id": "other", "action": "noop"}, {"id": "inner", "action": "noop"}],
        "transitions": [{"from": "draft", "to": "note", "when": "nodes.draft.output == 1"}, {"from": "draft", "to": "draft", "maxIterations": 1},
            {"from": "draft", "to": "done", "priority": 1}, {"from": "note", "to": "other", "when": "false"},
            {"from": "other", "to": "inner"}, {"from": "inner", "to": "other", "maxIterations": 2}]});
    let mut world = World::with(&document);
    let run = world.start("drafts", json!({}));
    for _ in 0..2 {
        world.settle();
        let now = explained(&world, run, &document);
        assert_eq!(of(&now, "waitsFor", "draft")["for"], "turn");
        let open: Vec<_> = now["couldFire"]["first"].as_array().unwrap().iter().map(|way| way["to"].clone()).collect();
        assert!(open.contains(&json!("note")) && open.contains(&json!("done")), "{now:#}");
        let task = world.tasks().remove(0);
        world.report(&task, ok(json!(1))).unwrap();
    }
    world.settle();
    let turn = explained_in(&world, run, &document, 1, 100);
    assert_eq!(turn["branch"]["ended"], "again");
    let expected = [("note", "dropped"), ("draft", "always"), ("done", "earlierTier")];
    assert_eq!(verdicts(&of(&turn, "decided", "draft@1")["ways"], "to"), pairs(&expected));
    let now = explained(&world, run, &document);
    let expected = [("note", "conditionTrue"), ("draft", "maxIterations"), ("done", "earlierTier")];
    assert_eq!(verdicts(&of(&now, "decided", "draft")["ways"], "to"), pairs(&expected));
    assert_eq!(of(&now, "skipped", "other")["reason"], "noWayIn");
    let inner = of(&now, "skipped", "inner");
    assert_eq!((&inner["reason"], &inner["loopAt"]), (&json!("loopNotEntered"), &json!("other")));
}

#[test]
fn what_was_not_asked_for_and_what_the_end_came_before() {
    let document = json!({"slug": "parts", "nodes": [
        {"id": "a", "jobSlug": "work", "retry": {"maxAttempts": 1}}, {"id": "b", "jobSlug": "work"}, {"id": "c", "action": "noop"}],
        "transitions": [{"from": "a", "to": "b"}, {"from": "a", "to": "c"}]});
    let mut world = World::with(&document);
    let run = RunId::new(crate::world::shard_zero(), world.now, 7 << 12);
    let wishes = StartWishes { targets: vec!["b".parse().unwrap()], ..StartWishes::default() };
    let mut start = world.start_of("parts", json!({}));
    start.wishes = Some(Box::new(wishes));
    world.decide(Command::Run { run, command: RunCommand::StartRun(start) }).unwrap();
    world.settle();
    let now = explained(&world, run, &document);
    let open: Vec<_> = now["couldFire"]["first"].as_array().unwrap().iter().map(|way| way["to"].clone()).collect();
    assert_eq!(open, ["b"], "{now:#}");
    let task = world.tasks().remove(0);
    world.report(&task, failed("boom")).unwrap();
    world.settle();
    let ended = explained(&world, run, &document);
    assert_eq!((&ended["status"], &ended["end"]["error"]["code"]), (&json!("failed"), &json!("boom")));
    let expected = [("b", "otherOutcome"), ("c", "otherOutcome")];
    assert_eq!(verdicts(&of(&ended, "decided", "a")["ways"], "to"), pairs(&expected));
    let reasons = ["b", "c"].map(|node| of(&ended, "skipped", node)["reason"].as_str().unwrap().to_owned());
    assert!(reasons.iter().any(|reason| reason == "noWayIn" || reason == "ended"), "{reasons:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Whatever happened, each moment of it can be explained, in each branch, and what is told agrees with itself.
    #[test]
    fn every_moment_of_a_run_can_be_explained(graph in graphs(), story in proptest::collection::vec(any::<u8>(), 0..40)) {
        let (world, runs) = play(&graph, &story);
        let definition = Arc::new(compile(&graph).unwrap().0);
        for run in runs {
            for branch in 0..4 {
                let mut account = account(&definition, run, branch, 5);
                for (event, time) in events(&world, run) {
                    account.learn(&event, time).unwrap();
                    let Some(explanation) = account.explanation() else { continue };
                    let waits = &explanation.waits_for;
                    prop_assert_eq!(waits.first.len(), waits.total.min(5) as usize);
                    prop_assert!(waits.first.iter().all(|wait| wait.since.0 > Timestamp::default()), "{:?}", waits);
                    prop_assert!(explanation.decided.first.iter().all(|node| node.at.0 > Timestamp::default()));
                    prop_assert!(!explanation.status.is_terminal() || waits.total == 0);
                }
                let (Some(last), Some(live), 0) = (account.explanation(), world.shard.run(run), branch) else { continue };
                // Whoever goes on waits for something, or has something to do.
                prop_assert!(last.waits_for.total > 0 || last.end.is_some() || live.has_agenda(), "{:?}", last);
                prop_assert_eq!((last.revision, last.status), (live.revision(), live.status()));
            }
        }
    }
}
