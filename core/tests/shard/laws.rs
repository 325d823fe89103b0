//! Laws: whatever happens, folding is deciding, ends are final, and the same story gives the same facts.

use headwater_core::memo::{MEMOS, Memo, MemoKey};
use headwater_core::run::{Budget, CallbackToken, CalledBack, RunCommand, awaited_callback};
use headwater_core::shard::{Command, Effect, Shard};
use headwater_core::task::Task;
use headwater_core::{Json, RunId, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::hands::{resume_all, taken_in_hand};
use crate::world::{World, empty, failed, ok};

/// A graph of up to eight nodes, a mix of actions, joins, conditions, retries, bodies and ways back.
pub fn graphs() -> impl Strategy<Value = Value> {
    let back = (any::<u8>(), any::<u8>(), 1..4_u32, 0..6_u8);
    (forward_graphs(), proptest::collection::vec(back, 0..3), 0..4_u8).prop_map(|(mut document, backs, finally)| {
        if finally == 0 {
            document["finally"] = json!({"steps": [{"id": "f", "jobSlug": "work", "retry": {"maxAttempts": 1}}]});
        }
        // A way back that makes no loop with one way in is left out.
        backs.into_iter().fold(document, |document, back| {
            let with_it = with_way_back(&document, back);
            if headwater_core::definition::compile(&with_it).is_ok() { with_it } else { document }
        })
    })
}

fn with_way_back(document: &Value, (from, to, max, how): (u8, u8, u32, u8)) -> Value {
    let count = document["nodes"].as_array().unwrap().len();
    let from = usize::from(from) % count;
    let to = usize::from(to) % (from + 1);
    let mut back =
        json!({"from": format!("n{from}"), "to": format!("n{to}"), "maxIterations": max, "priority": how % 2});
    match how / 2 {
        0 => back["until"] = json!("has(state.done)"),
        1 => back["on"] = json!("failure"),
        _ => back["when"] = json!(format!("nodes.n{from}.attempts < 3")),
    }
    let mut document = document.clone();
    document["transitions"].as_array_mut().unwrap().push(back);
    document
}

/// What undoes a job: another, that fails as often.
fn compensate(attempts: u32) -> Value {
    json!({"jobSlug": "work", "retry": {"maxAttempts": attempts, "backoff": "fixed", "delay": "1s"}, "timeout": "8s"})
}

/// What happens for each item: a node of one of the kinds, or two of them, or another body.
fn body(at: usize, kind: u8) -> Value {
    let inner = |id: &str, action: Value| json!({"id": format!("{id}{at}"), "action": action});
    let work = json!({"kind": "job", "jobSlug": "work"});
    match kind % 6 {
        5 => {
            let mut group =
                json!({"id": format!("b{at}"), "group": {"steps": [inner("c", work.clone()), inner("d", work)]}});
            group["retry"] = json!({"maxAttempts": 2, "backoff": "fixed", "delay": "1s"});
            group["group"]["steps"][0]["compensate"] = compensate(2);
            (group["timeout"], group["allowFailure"]) = (json!("6s"), json!(at.is_multiple_of(2)));
            group
        }
        0 => inner("b", json!({"kind": "transform", "output": "${{ [item, index, input.n] }}"})),
        1 => json!({"steps": [inner("b", json!({"kind": "sleep", "duration": "3s"})), inner("c", work)]}),
        2 => inner("b", json!({"kind": "fail", "code": "meant", "message": "${{ string(index) }}"})),
        3 => {
            json!({"id": format!("b{at}"), "forEach": {"items": "${{ index + 1 }}", "as": "outer", "maxConcurrency": 1,
            "body": inner("c", work)}})
        }
        _ => {
            let mut one = inner("b", work);
            one["retry"] = json!({"maxAttempts": 1});
            one["compensate"] = compensate(1);
            json!({"nodes": [one, inner("c", json!("noop"))],
                "transitions": [{"from": format!("b{at}"), "to": format!("c{at}")},
                    {"from": format!("b{at}"), "to": format!("b{at}"), "on": "failure", "maxIterations": 1}]})
        }
    }
}

fn for_each(at: usize, how: u8) -> Value {
    let mut each = json!({"items": "${{ input.n % 4 }}", "body": body(at, how)});
    match how / 5 % 6 {
        0 => each["join"] = json!("any"),
        1 => each["join"] = json!({"quorum": 2}),
        2 => each["tolerate"] = json!(1),
        3 => each["maxConcurrency"] = json!(1),
        4 => (each["timeout"], each["onTimeout"]) = (json!("4s"), json!("proceed")),
        _ => each["batch"] = json!(2),
    }
    json!({"id": format!("n{at}"), "forEach": each, "onNoRoute": "end"})
}

fn forward_graphs() -> impl Strategy<Value = Value> {
    let node = (0..7_u8, 0..6_u8, any::<u8>(), 1..3_u32);
    proptest::collection::vec(node, 1..8).prop_map(|nodes| {
        let (mut documents, mut transitions, mut goes_on) = (Vec::new(), Vec::new(), false);
        for (at, (action, join, edges, attempts)) in nodes.iter().enumerate() {
            let action = match action {
                0 => json!("noop"),
                1 => json!({"kind": "transform", "output": {"n": "${{ input.n }}"}}),
                2 if edges & 0x40 != 0 => {
                    json!({"kind": "wait_until", "time": "${{ timestamp(run.startedAt) + duration('5s') }}"})
                }
                2 if edges & 0x08 != 0 => {
                    json!({"kind": "wait_signal", "signals": [{"name": "go"}, {"name": "stop", "key": at}],
                        "reply": {"n": "${{ signal.payload / (edges_ - 90) }}".replace("edges_", &edges.to_string())}})
                }
                2 if edges & 0x04 != 0 => json!({"kind": "human_input", "title": "n is ${{ input.n }}", "due": "9s",
                    "form": {"type": "integer", "maximum": 120}, "quorum": attempts,
                    "onInvalid": if edges & 0x20 == 0 { "fail" } else { "refuse" }}),
                2 if edges & 0x02 != 0 => json!({"kind": "callback", "key": at % 3}),
                2 => json!({"kind": "sleep", "duration": "5s"}),
                3 if edges & 0x40 != 0 => {
                    goes_on = true;
                    json!({"kind": "continue_as", "input": {"n": "${{ input.n / 2 - 1 }}"}})
                }
                3 => json!({"kind": "fail", "code": "meant", "message": "n is ${{ input.n }}"}),
                _ => json!({"kind": "job", "jobSlug": "work"}),
            };
            let mut node = json!({"id": format!("n{at}"), "action": action});
            if nodes[at].0 >= 5 {
                node = for_each(at, edges.wrapping_mul(31).wrapping_add(*join));
            } else if node["action"]["kind"] != "fail" {
                node["retry"] = json!({"maxAttempts": attempts, "backoff": "fixed", "delay": "1s"});
                node["onNoRoute"] = json!("end");
                if node["action"]["kind"] == "wait_signal" || node["action"]["kind"] == "callback" {
                    node["timeout"] = json!("9s");
                }
                if node["action"]["kind"] == "callback" {
                    node["heartbeatTimeout"] = json!("6s");
                }
                if edges & 0x40 != 0 {
                    node["retry"]["maxDuration"] = json!(format!("{attempts}s"));
                    node["retry"]["rules"] = json!([{"codes": ["worker_lost"], "delay": "2s", "maxAttempts": 3},
                        {"when": "error.attempt == 1 && input.n > 1", "maxAttempts": 2}]);
                }
                if node["action"]["kind"] == "job" && edges & 0x0C == 0x04 {
                    node["reuse"] = match edges & 0x03 {
                        0 => json!("ifUnchanged"),
                        1 => json!({"key": ["k", "${{ input.n % 2 }}"], "maxAge": "6s"}),
                        _ => json!({"key": "${{ input.n }}", "scope": "workspace"}),
                    };
                }
                if node["action"]["kind"] == "job" && edges & 0x0C == 0x08 {
                    node["compensate"] = compensate(*attempts);
                }
                match edges & 0x30 {
                    0x10 => node["allowFailure"] = json!(true),
                    0x20 => node["allowFailure"] = json!({"codes": ["chance"]}),
                    _ => {}
                }
            }
            let (mut incoming, mut fails) = (0, false);
            for (from, before) in nodes.iter().enumerate().take(at) {
                if edges & (1 << from) != 0 {
                    let mut edge = json!({"from": format!("n{from}"), "to": format!("n{at}")});
                    if edges & 0x80 != 0 {
                        edge["when"] = json!(format!("input.n > {from}"));
                    }
                    if from % 3 == 2 || before.0 == 3 {
                        edge["on"] = json!("failure");
                        fails = true;
                    }
                    transitions.push(edge);
                    incoming += 1;
                }
            }
            if incoming > 1 {
                node["join"] = match join {
                    0 => json!("all"),
                    1 => json!("any"),
                    2 => json!("allDone"),
                    3 => json!("noneFailed"),
                    4 if !fails => json!("allSucceeded"),
                    _ => json!({"quorum": 2}),
                };
            }
            documents.push(node);
        }
        let mut document = json!({"slug": "any", "nodes": documents, "transitions": transitions});
        if goes_on {
            // Whoever goes on from it does so for a while.
            document["inputSchema"] = json!({"properties": {"n": {"minimum": 0}}});
        }
        racing(&document).unwrap_or(document)
    })
}

/// The same graph with joins that withdraw whoever they leave behind, where each of them would.
fn racing(document: &Value) -> Option<Value> {
    let mut document = document.clone();
    for node in document["nodes"].as_array_mut()? {
        if node["join"] == "any" || node["join"].is_object() {
            node["cancelLosers"] = json!(true);
        }
    }
    headwater_core::definition::compile(&document).is_ok().then_some(document)
}

/// Plays a story: each step lets time pass, reports, fails, loses or cancels something.
pub fn play(document: &Value, story: &[u8]) -> (World, Vec<RunId>) {
    play_within(Budget::default(), document, story)
}

/// Plays it where decisions take no more than that; what they leave is done before anything else happens.
pub fn play_within(budget: Budget, document: &Value, story: &[u8]) -> (World, Vec<RunId>) {
    play_meanwhile(budget, std::slice::from_ref(document), story, |_, _, _| {})
}

/// The same with several versions, of which runs start with the last; `meanwhile` does something before each step.
pub fn play_meanwhile(
    budget: Budget,
    versions: &[Value],
    story: &[u8],
    mut meanwhile: impl FnMut(&mut World, &[RunId], usize),
) -> (World, Vec<RunId>) {
    let mut world = World::bounded(budget);
    versions.iter().for_each(|version| _ = world.apply(version));
    let mut runs = vec![world.start("any", json!({"n": 3}))];
    exchange(&mut world);
    runs.push(world.start("any", json!({"n": 0})));
    let mut tasks = Vec::new();
    for (number, step) in story.iter().enumerate() {
        exchange(&mut world);
        meanwhile(&mut world, &runs, number);
        // In an order that does not depend on how decisions of several runs fall between each other.
        let mut new = world.tasks();
        new.sort_by(|a, b| (a.run, &a.node, a.attempt).cmp(&(b.run, &b.node, b.attempt)));
        tasks.extend(new);
        let which = usize::from(step >> 3);
        match (step & 7, tasks.is_empty()) {
            (0 | 1, _) => {
                world.pass(u64::from(step >> 4) + 1);
                while world.shard.next_due().is_some_and(|due| due <= world.now) {
                    world.fire_timers();
                    exchange(&mut world);
                }
            }
            (2, _) => runs.push(world.start("any", json!({"n": step}))),
            (3, _) if which % 5 == 4 => {
                let run = runs[which % runs.len()];
                let node = format!("n{}", which % 8).parse().unwrap();
                let token = world.shard.run(run).and_then(|run| awaited_callback(run, &node));
                let said = match step % 3 {
                    0 => CalledBack::Alive {},
                    1 => CalledBack::Output { output: Json::of(step) },
                    _ => CalledBack::Error {
                        code: "chance".into(),
                        message: String::new(),
                        permanent: false,
                        details: None,
                    },
                };
                if let Some(CallbackToken { run, node, attempt, proof }) = token {
                    let command = RunCommand::CallBack { node, attempt, proof, said: said.clone() };
                    world.decide(Command::Run { run, command }).unwrap();
                }
            }
            (3, _) if which % 3 == 1 => {
                let by = headwater_core::Actor::Claimed(["ada", "bo"][which % 2].parse().unwrap());
                let command = RunCommand::AnswerPerson {
                    workspace: "default".parse().unwrap(),
                    node: format!("n{}", which % 8).parse().unwrap(),
                    attempt: None,
                    answer: headwater_core::CommandId::from_uuid(uuid::Uuid::from_u128(u128::from(*step))),
                    by,
                    value: headwater_core::Json::of(step),
                };
                let _may_be_over = world.decide(Command::Run { run: runs[which % runs.len()], command });
            }
            (3, _) if which % 3 != 0 => {
                let command = RunCommand::Signal {
                    workspace: "default".parse().unwrap(),
                    signal: headwater_core::CommandId::from_uuid(uuid::Uuid::from_u128(u128::from(*step))),
                    name: if which % 2 == 0 { "go" } else { "stop" }.parse().unwrap(),
                    key: (which % 2 != 0).then(|| (which % 8).to_string().parse().unwrap()),
                    payload: Json::of(step),
                    broadcast: which % 5 == 0,
                    update: which % 7 == 0,
                };
                let _may_be_over = world.decide(Command::Run { run: runs[which % runs.len()], command });
            }
            (3, _) => {
                let run = runs[which % runs.len()];
                let command = RunCommand::CancelRun {
                    workspace: None,
                    reason: "chance".into(),
                    grace_ms: [0, 4_000][which / 3 % 2],
                };
                let _may_be_over = world.decide(Command::Run { run, command });
            }
            (7, _) if which % 2 == 0 => {
                let run = runs[which % runs.len()];
                let node = tasks.get(which).map(|task: &Task| task.node.clone());
                let command = taken_in_hand(world.fresh_id(), which / 2, node, world.now);
                let _may_be_over = world.decide(Command::Run { run, command });
            }
            (_, true) => {}
            (kind, false) => {
                let task = tasks[which % tasks.len()].clone();
                let _may_be_stale = match kind {
                    4 => world.report(&task, failed("chance")),
                    5 => {
                        let (node, attempt, lease) = (task.node.clone(), task.attempt, task.lease);
                        let command = RunCommand::LoseAttempt { node, attempt, lease };
                        world.decide(Command::Run { run: task.run, command })
                    }
                    _ => world.report(&task, ok(json!(step))),
                };
            }
        }
    }
    exchange(&mut world);
    (world, runs)
}

/// Lets runs go on, and what they say to others arrive, until all wait for something else.
pub fn exchange(world: &mut World) {
    world.settle();
    while world.effects.iter().any(|effect| matches!(effect, Effect::Submit(_))) {
        world.deliver_submissions();
        world.settle();
    }
}

/// Leaves runs to themselves until all have ended, or none goes on.
pub fn to_the_end(world: &mut World, runs: &[RunId]) {
    resume_all(world, runs);
    for _ in 0..200 {
        for task in world.tasks() {
            let _may_be_stale = world.report(&task, ok(json!(1)));
        }
        // Tasks that the story left lying are there again, as after a take-over.
        world.name_again();
        let outstanding = world.shard.outstanding();
        world.effects.extend(outstanding);
        exchange(world);
        world.pass(10);
        world.fire_timers();
        exchange(world);
        if world.shard.active_runs() == 0 {
            break;
        }
    }
}

pub fn fold(world: &World, size: usize) -> Shard {
    let mut shard = empty();
    for bundle in world.bundles(size) {
        // Through the wire form: what is not written is not folded.
        let text = serde_json::to_string(&bundle).unwrap();
        let bundle = serde_json::from_str(&text).unwrap();
        assert_eq!(shard.fold(&bundle, None), []);
    }
    shard
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// RUN-2, SHD-1, SHD-2, and prefix: folding in pieces is folding at once is having decided.
    #[test]
    fn folding_is_deciding(document in graphs(), story in proptest::collection::vec(any::<u8>(), 0..60)) {
        let (world, runs) = play(&document, &story);
        for size in [1, 7, usize::MAX] {
            let folded = fold(&world, size.min(world.commits.len().max(1)));
            for run in &runs {
                prop_assert_eq!(world.shard.run(*run), folded.run(*run));
                prop_assert_eq!(world.shard.ended_run(*run), folded.ended_run(*run));
            }
            for memo in (0..MEMOS).filter_map(MemoKey::numbered) {
                prop_assert_eq!(world.shard.memo(memo), folded.memo(memo));
            }
            prop_assert_eq!(world.shard.next_due(), folded.next_due());
        }
    }

    /// The same story gives the same facts, byte for byte.
    #[test]
    fn deciding_is_deterministic(document in graphs(), story in proptest::collection::vec(any::<u8>(), 0..40)) {
        let first = serde_json::to_string(&play(&document, &story).0.commits).unwrap();
        let second = serde_json::to_string(&play(&document, &story).0.commits).unwrap();
        prop_assert_eq!(first, second);
    }

    /// RUN-1, and closure: nothing follows an end, and left to itself every run reaches one.
    #[test]
    fn every_run_ends_and_ends_once(document in graphs(), story in proptest::collection::vec(any::<u8>(), 0..40)) {
        let (mut world, runs) = play(&document, &story);
        to_the_end(&mut world, &runs);
        prop_assert_eq!(world.shard.active_runs(), 0);
        for run in runs {
            let timeline = world.timeline(run);
            let is_end = |word: &&str| {
                let word = word.split('(').next().unwrap_or_default();
                ["SUCCEEDED", "FAILED", "CANCELLED"].contains(&word)
            };
            let ends = timeline.split(' ').filter(is_end).count();
            prop_assert_eq!(ends, 1, "{}", timeline);
            prop_assert!(timeline.rsplit(' ').next().is_some_and(|last| last.starts_with(char::is_uppercase)));
            crate::compensation_ends::check(&world, run);
        }
        prop_assert_eq!(world.shard.next_due(), None);
        let askers = |memo| world.shard.memo(memo).map_or(0, Memo::askers);
        prop_assert_eq!((0..MEMOS).filter_map(MemoKey::numbered).map(askers).sum::<usize>(), 0);
    }
}

/// RUN-2: `null` is not nothing.
#[test]
fn a_node_whose_input_is_null_keeps_it_when_it_is_folded() {
    let mut world = World::with(&json!({"slug": "nothing", "nodes": [
        {"id": "a", "action": {"kind": "job", "jobSlug": "work"}, "input": "${{ input.n }}"}]}));
    let run = world.start("nothing", json!({"n": null}));
    assert!(world.tasks()[0].input.is_null());
    assert_eq!(fold(&world, 1).run(run), world.shard.run(run));
}

#[test]
fn a_clock_that_goes_back_does_not_take_the_shard_with_it() {
    let mut world = World::with(&crate::world::chain(&["a"]));
    world.now = Timestamp::from_micros(1_000);
    let run = world.start("chain", json!({}));
    assert!(world.shard.run(run).is_some());
    let times: Vec<_> = world.commits.iter().map(|commit| commit.time).collect();
    assert!(times.is_sorted(), "SHD-2");
}
