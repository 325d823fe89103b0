//! Calls: a node starts a run of another workflow, and goes on when that has ended.

use headwater_core::credit::Hands;
use headwater_core::dialogue::{Answer, ChildEnd};
use headwater_core::run::{RunCommand, RunFailure, RunStatus};
use headwater_core::shard::{AggregateId, Command, Effect, Rejection, Submission};
use headwater_core::{Attempt, Json, NodeAddress, RunId};
use serde_json::{Value, json};

use crate::world::{World, failed, key, ok};

/// A workflow that only calls; `more` goes into its node, `action` into its action.
pub fn caller(action: Value, more: Value) -> Value {
    let mut call = json!({"kind": "workflow_call", "workflow": "child"});
    call.as_object_mut().unwrap().extend(action.as_object().unwrap().clone());
    let mut node = json!({"id": "sub", "action": call});
    node.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"slug": "parent", "steps": [node]})
}

/// A workflow of one job.
pub fn child() -> Value {
    json!({"slug": "child", "steps": [{"id": "work", "jobSlug": "work", "retry": {"maxAttempts": 1}}],
        "inputSchema": {"type": "object", "properties": {"n": {"type": "integer"}}},
        "output": {"made": "${{ nodes.work.output }}"}})
}

/// A world with both, and a run of the caller that has called.
pub fn called(action: Value, more: Value) -> (World, RunId) {
    let mut world = World::with(&child());
    world.apply(&caller(action, more));
    let run = world.start("parent", json!({"n": 3}));
    deliver(&mut world);
    (world, run)
}

/// Lets every command between aggregates arrive, and what follows for its sender from the answer.
pub fn deliver(world: &mut World) {
    while let Some(submission) = next_submission(world) {
        let outcome = world.decide_as(submission.clone(), &mut Hands::default());
        let follows = match outcome {
            Ok(decided) => decided.granted.and_then(|granted| submission.granted(&granted)),
            Err(rejection) => submission.refused(&rejection),
        };
        world.effects.splice(0..0, follows.map(|follows| Effect::Submit(Box::new(follows))));
    }
}

/// Takes the next command between aggregates off.
pub fn next_submission(world: &mut World) -> Option<Submission> {
    let at = world.effects.iter().position(|effect| matches!(effect, Effect::Submit(_)))?;
    let Effect::Submit(submission) = world.effects.remove(at) else { unreachable!() };
    Some(*submission)
}

/// The runs of a workflow that were started, in their order.
pub fn runs_of(world: &World, workflow: &str) -> Vec<RunId> {
    let started = |commit: &headwater_core::shard::Commit| match (&commit.aggregate, &commit.events[0]) {
        (AggregateId::Run(run), event) => {
            let event = serde_json::to_value(event).unwrap();
            (event["run"]["runStarted"]["workflow"] == workflow).then_some(*run)
        }
        _ => None,
    };
    world.commits.iter().filter_map(started).collect()
}

pub fn output(world: &World, run: RunId) -> Value {
    let mut events = world.commits.iter().rev().filter(|commit| commit.aggregate == AggregateId::Run(run));
    let last = serde_json::to_value(events.next().unwrap().events.last().unwrap()).unwrap();
    last["run"]["runSucceeded"]["output"].clone()
}

pub fn status(world: &World, run: RunId) -> Option<RunStatus> {
    world.shard.run(run).map(|run| run.status()).or_else(|| world.shard.ended_run(run).map(|ended| ended.status))
}

#[test]
fn a_call_waits_for_its_child_and_returns_what_that_returns() {
    let (mut world, run) = called(json!({"input": {"n": "${{ input.n + 1 }}"}}), json!({}));
    let [child] = runs_of(&world, "child")[..] else { panic!("one child") };
    assert_eq!(world.timeline(run), "started sub:try1 sub:calls@1");
    assert_eq!(world.shard.run(child).unwrap().input().as_str(), r#"{"n":4}"#);
    let task = world.tasks().remove(0);
    assert_eq!(task.run, child);
    world.report(&task, ok(json!("it"))).unwrap();
    deliver(&mut world);
    assert_eq!(world.timeline(run), "started sub:try1 sub:calls@1 sub:ok SUCCEEDED");
    assert_eq!(output(&world, run), json!({"sub": {"made": "it"}}));
}

#[test]
fn the_child_knows_who_called_it_and_gets_the_runs_input_where_nothing_is_said() {
    let (world, run) = called(json!({}), json!({}));
    let [child] = runs_of(&world, "child")[..] else { panic!("one child") };
    let started = world.commits.iter().find(|commit| commit.aggregate == AggregateId::Run(child)).unwrap();
    let started = serde_json::to_value(&started.events[0]).unwrap();
    let call = json!({"parent": run, "node": "sub", "attempt": 1, "depth": 1});
    assert_eq!(started["run"]["runStarted"]["trigger"], json!({"call": call}));
    assert_eq!(started["run"]["runStarted"]["input"], json!({"n": 3}));
}

#[test]
fn a_failing_child_fails_the_node_with_its_code_and_message() {
    let (mut world, run) = called(json!({}), json!({}));
    let task = world.tasks().remove(0);
    world.report(&task, failed("boom")).unwrap();
    deliver(&mut world);
    assert_eq!(world.timeline(run), "started sub:try1 sub:calls@1 sub:failed(boom) sub:dead(boom) FAILED(boom)");
    let end = serde_json::to_value(world.commits.last().unwrap()).unwrap().to_string();
    assert!(end.contains("boom happened") && end.contains(r#""nodeId":"sub""#), "{end}");
}

#[test]
fn a_caught_failure_is_the_output() {
    let (mut world, run) = called(json!({"onFailure": "catch"}), json!({}));
    let task = world.tasks().remove(0);
    world.report(&task, failed("boom")).unwrap();
    deliver(&mut world);
    let caught = output(&world, run)["sub"].clone();
    assert_eq!((&caught["status"], &caught["output"]), (&json!("failed"), &Value::Null));
    assert_eq!(caught["error"]["code"], "boom");
    assert_eq!(caught["error"]["nodeId"], "work");

    let (mut world, run) = called(json!({"onFailure": "catch"}), json!({}));
    let task = world.tasks().remove(0);
    world.report(&task, ok(json!(1))).unwrap();
    deliver(&mut world);
    assert_eq!(output(&world, run)["sub"], json!({"status": "succeeded", "output": {"made": 1}, "error": null}));
}

#[test]
fn a_retry_calls_another_child_and_what_is_caught_is_caught_at_last() {
    let retry = json!({"retry": {"maxAttempts": 2, "backoff": "none"}});
    let (mut world, run) = called(json!({"onFailure": "catch"}), retry);
    for number in 1..=2 {
        let task = world.tasks().remove(0);
        assert_eq!(runs_of(&world, "child").len(), number);
        assert_eq!(task.run, runs_of(&world, "child")[number - 1], "each attempt has a child of its own");
        world.report(&task, failed("boom")).unwrap();
        deliver(&mut world);
    }
    let tries = "sub:try1 sub:calls@1 sub:failed(boom) sub:retry2 sub:try2 sub:calls@1";
    assert_eq!(world.timeline(run), format!("started {tries} sub:ok SUCCEEDED"));
    assert_eq!(output(&world, run)["sub"]["error"]["code"], "boom");
}

#[test]
fn without_a_word_of_retries_a_call_is_made_once() {
    let (mut world, run) = called(json!({}), json!({}));
    let task = world.tasks().remove(0);
    world.report(&task, failed("boom")).unwrap();
    deliver(&mut world);
    assert_eq!(status(&world, run), Some(RunStatus::Failed));
    assert_eq!(runs_of(&world, "child").len(), 1);
}

#[test]
fn who_does_not_wait_goes_on_when_the_child_has_begun() {
    let (mut world, run) = called(json!({"wait": "none"}), json!({}));
    let [child] = runs_of(&world, "child")[..] else { panic!("one child") };
    assert_eq!(world.timeline(run), "started sub:try1 sub:calls@1 sub:ok SUCCEEDED");
    assert_eq!(output(&world, run), json!({"sub": {"runId": child}}));
    let task = world.tasks().remove(0);
    world.report(&task, ok(json!(1))).unwrap();
    assert!(next_submission(&mut world).is_none(), "nobody hears of its end");
    assert_eq!(status(&world, child), Some(RunStatus::Succeeded));
}

#[test]
fn a_version_that_is_named_is_called_without_asking() {
    let mut world = World::with(&child());
    let mut newer = child();
    newer["description"] = json!("newer");
    world.apply(&newer);
    world.apply(&caller(json!({"version": 1}), json!({})));
    let run = world.start("parent", json!({"n": 3}));
    deliver(&mut world);
    assert_eq!(world.timeline(run), "started sub:try1 sub:calls@1");
    // Without one it is the current one of when it begins, whatever comes after it.
    world.apply(&caller(json!({}), json!({})));
    let run = world.start("parent", json!({"n": 3}));
    deliver(&mut world);
    assert_eq!(world.timeline(run), "started sub:try1 sub:calls@2");
}

#[test]
fn what_cannot_be_called_fails_the_node_with_a_code_that_says_why() {
    let codes = |mut world: World, input: Value| {
        let run = world.start("parent", input);
        deliver(&mut world);
        (world.timeline(run), runs_of(&world, "child").len())
    };
    let world = |action: Value| World::with(&caller(action, json!({})));
    let (unknown, _) = codes(world(json!({})), json!({}));
    assert!(unknown.ends_with("FAILED(call_unknown_workflow)"), "{unknown}");
    let (version, _) = codes(world(json!({"version": 7})), json!({}));
    assert!(
        version.ends_with(
            "sub:withdraws sub:failed(call_unknown_version) sub:dead(call_unknown_version) FAILED(call_unknown_version)"
        ),
        "{version}"
    );
    let mut with_child = world(json!({}));
    with_child.apply(&child());
    let (input, runs) = codes(with_child, json!({"n": "three"}));
    assert!(input.ends_with("FAILED(input_invalid)") && runs == 0, "{input}");
    let mut with_child = world(json!({"input": "${{ input.list }}"}));
    with_child.apply(&child());
    let (input, _) = codes(with_child, json!({"list": [1]}));
    assert!(input.ends_with("FAILED(input_invalid)"), "{input}");
}

#[test]
fn recursion_ends_at_a_depth() {
    let mut endless = caller(json!({"workflow": "endless"}), json!({}));
    endless["slug"] = json!("endless");
    let mut world = World::with(&endless);
    let run = world.start("endless", json!({}));
    deliver(&mut world);
    let runs = runs_of(&world, "endless");
    assert_eq!((runs.len(), runs[0]), (17, run));
    assert_eq!(world.timeline(runs[16]), "started sub:dead(call_depth) FAILED(call_depth)");
    assert!(world.timeline(run).ends_with("sub:failed(call_depth) sub:dead(call_depth) FAILED(call_depth)"));
}

#[test]
fn exactly_one_answer_counts() {
    let (mut world, run) = called(json!({}), json!({"retry": {"maxAttempts": 2, "backoff": "none"}}));
    let [first] = runs_of(&world, "child")[..] else { panic!("one child") };
    let answer = |node: &str, attempt: u32, answer: Answer| Command::Run {
        run,
        command: RunCommand::AnswerCall {
            node: node.parse::<NodeAddress>().unwrap(),
            attempt: Attempt::new(attempt),
            answer,
        },
    };
    let ended =
        |child: RunId| Answer::Ended { child, end: ChildEnd::Succeeded { output: Json::null(), recorded: Vec::new() } };
    let stranger = RunId::new(crate::world::shard_zero(), world.now, 77 << 12);
    let refusal = Answer::Refused { failure: RunFailure::new("call_refused", "no"), permanent: false };
    for dropped in [
        answer("sub", 1, ended(stranger)),
        answer("sub", 2, ended(first)),
        answer("sub@17", 1, ended(first)),
        answer("sub", 2, refusal.clone()),
        answer("sub", 1, Answer::Current { version: headwater_core::DefinitionVersion::new(9) }),
    ] {
        let decided = world.decide(dropped.clone()).unwrap();
        assert!(decided.commit.is_none(), "{dropped:?}");
    }
    let task = world.tasks().remove(0);
    world.report(&task, failed("boom")).unwrap();
    deliver(&mut world);
    // Its second attempt has a child of its own: what the first says again is late.
    let late = world.decide(answer("sub", 1, ended(first))).unwrap();
    assert!(late.commit.is_none());
    let late = world.decide(answer("sub", 2, ended(first))).unwrap();
    assert!(late.commit.is_none());
    let task = world.tasks().remove(0);
    world.report(&task, ok(json!(1))).unwrap();
    deliver(&mut world);
    assert_eq!(status(&world, run), Some(RunStatus::Succeeded));
    assert!(world.decide(answer("sub", 2, ended(runs_of(&world, "child")[1]))).unwrap().commit.is_none());
}

#[test]
fn the_same_start_again_is_the_same_child() {
    let mut world = World::with(&child());
    world.apply(&caller(json!({}), json!({})));
    world.start("parent", json!({"n": 3}));
    let named = next_submission(&mut world).unwrap();
    assert!(matches!(&named.command, Command::Workflow { key: asked, .. } if *asked == key("child")));
    let granted = world.decide_as(named.clone(), &mut Hands::default()).unwrap().granted.unwrap();
    let follows = named.granted(&granted).unwrap();
    assert_eq!(named.granted(&granted).unwrap().id, follows.id, "however often it is answered");
    world.decide_as(follows, &mut Hands::default()).unwrap();
    let start = next_submission(&mut world).unwrap();
    world.decide_as(start.clone(), &mut Hands::default()).unwrap();
    let again = Submission { id: world.fresh_id(), ..start };
    assert!(world.decide_as(again, &mut Hands::default()).unwrap().commit.is_none());
    assert_eq!(runs_of(&world, "child").len(), 1);
}

#[test]
fn a_quarantined_definition_refuses_the_call_instead_of_keeping_it() {
    let (mut world, _) = called(json!({}), json!({}));
    let run = world.start("parent", json!({"n": 3}));
    let start = loop {
        let submission = next_submission(&mut world).unwrap();
        if let Command::Run { command: RunCommand::StartRun(_), .. } = &submission.command {
            break submission;
        }
        let granted = world.decide_as(submission.clone(), &mut Hands::default()).unwrap().granted;
        let follows = granted.and_then(|granted| submission.granted(&granted));
        world.effects.extend(follows.map(|follows| Effect::Submit(Box::new(follows))));
    };
    let refused = start.refused(&Rejection::Quarantined { reason: "its graph is broken".to_owned() }).unwrap();
    world.decide_as(refused, &mut Hands::default()).unwrap();
    assert!(world.timeline(run).ends_with("sub:failed(call_refused) sub:dead(call_refused) FAILED(call_refused)"));
    assert!(!is_kept(&start), "nobody waits for ever");
}

/// Whether a command is kept for the release of what it is for: seen by how a shard with everything set aside answers.
fn is_kept(start: &Submission) -> bool {
    use headwater_core::shard::{Owner, Shard, ShardMap};
    let mut owner = Owner::<()>::new(Shard::new(crate::world::shard_zero(), ShardMap::even(1).unwrap()));
    let Command::Run { run, .. } = &start.command else { panic!("a start") };
    owner.set_aside(&AggregateId::Run(*run), "set aside".to_owned());
    let id = headwater_core::BundleId::from_uuid(uuid::Uuid::from_u128(5));
    owner.submit((), start.clone(), headwater_core::Timestamp::default(), &mut Hands::default());
    owner.next_append(id).unwrap();
    let released = owner.appended(headwater_core::Sequence::new(1));
    released.answers.into_iter().all(|answer| answer.outcome.is_ok())
}

#[test]
fn a_run_that_was_called_returns_no_more_than_a_message_takes() {
    let mut child = child();
    child["output"] = json!({"made": ["${{ nodes.work.output }}", "${{ nodes.work.output }}", "${{ nodes.work.output }}", "${{ nodes.work.output }}"]});
    let mut world = World::with(&child);
    world.apply(&caller(json!({}), json!({"retry": {"maxAttempts": 1}})));
    let parent = world.start("parent", json!({"n": 3}));
    deliver(&mut world);
    let alone = world.start("child", json!({"n": 3}));
    for task in world.tasks() {
        world.report(&task, ok(json!("x".repeat(900_000)))).unwrap();
        world.settle();
    }
    deliver(&mut world);
    world.settle();
    assert!(world.timeline(alone).ends_with("SUCCEEDED"), "{}", world.timeline(alone));
    assert!(world.timeline(parent).contains("sub:failed(decision_too_large)"), "{}", world.timeline(parent));
}
