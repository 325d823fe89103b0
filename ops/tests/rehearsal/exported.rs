//! An exported run, folded without an engine; and what is found in one that was changed.

use headwater::export::{Chain, FORMAT, LINE_BYTES_MAX, Recorded, Said};
use headwater_core::credit::Hands;
use headwater_core::definition::compile;
use headwater_core::run::{RunCommand, StartRun, Trigger};
use headwater_core::shard::{AggregateId, Command, Event, Shard, ShardMap, Submission, WorkflowKey};
use headwater_core::workflow::{ApplyWorkflow, WorkflowCommand};
use headwater_core::{CommandId, DefinitionVersion, Json, RunId, ShardId, StoredValue, Timestamp};
use serde_json::{Value, json};

use crate::{Said as Answer, headwater};

fn document() -> Value {
    json!({"slug": "flow", "steps": [
        {"id": "first", "action": {"kind": "transform", "output": "${{ input.n + 1 }}"}, "storeResultAs": "kept"},
        {"id": "second", "dependsOn": ["first"], "action": {"kind": "transform", "output": "${{ state.kept * 2 }}"}},
        {"id": "nap", "dependsOn": ["second"], "action": {"kind": "sleep", "duration": "1h"}},
    ]})
}

/// A run that sleeps, as it would be exported.
fn exported() -> Vec<Said> {
    let shard_id = ShardId::new(0).unwrap();
    let mut shard = Shard::new(shard_id, ShardMap::even(1).unwrap());
    let (definition, _) = compile(&document()).unwrap();
    let key = WorkflowKey { workspace: "default".parse().unwrap(), workflow: definition.slug.clone() };
    let apply = ApplyWorkflow { document: definition.source.clone(), content_hash: definition.content_hash.clone() };
    let (version, document) = (DefinitionVersion::FIRST, definition.source.clone());
    let now = Timestamp::from_micros(1_750_000_000_000_000);
    let run = RunId::new(shard_id, now, 1 << 12);
    let start = StartRun {
        workspace: key.workspace.clone(),
        workflow: key.workflow.clone(),
        version,
        input: Json::of(&json!({"n": 1})),
        trigger: Trigger::Manual {},
        keyed: false,
        wishes: None,
    };
    let commands = [
        Command::Workflow { key: key.clone(), command: WorkflowCommand::ApplyWorkflow(apply) },
        Command::AdoptDefinition { key, version, document: document.clone() },
        Command::Run { run, command: RunCommand::StartRun(start) },
    ];
    let mut said = vec![
        Said::Run { format: FORMAT.to_owned(), run },
        Said::Definition { content_hash: definition.content_hash, document },
    ];
    let mut commits = Vec::new();
    for (n, command) in (1..).zip(commands) {
        let submission = Submission::new(CommandId::from_uuid(uuid::Uuid::from_u128(n)), command);
        commits.extend(shard.decide(submission, now, &mut Hands::default()).unwrap().commit);
    }
    let next = |shard: &Shard| shard.unfinished().next();
    while let Some(run) = next(&shard) {
        let command = Command::Run { run, command: RunCommand::Continue {} };
        let id = CommandId::derived(&[&commits.len().to_be_bytes()]);
        commits.extend(shard.decide(Submission::new(id, command), now, &mut Hands::default()).unwrap().commit);
    }
    let of_run = commits.into_iter().filter(|commit| commit.aggregate == AggregateId::Run(run));
    let events: Vec<Event> = of_run.flat_map(|commit| commit.events).collect();
    for (revision, event) in (1..).zip(&events) {
        said.push(Said::Event(Box::new(Recorded {
            revision,
            time: now.to_string(),
            position: "0:3".to_owned(),
            by: None,
            cause: None,
            event: Json::of(event),
            stored: None,
            value: None,
        })));
    }
    said.push(Said::End { events: events.len() as u64 });
    said
}

fn text(said: &[Said]) -> String {
    let mut chain = Chain::default();
    said.iter().map(|said| chain.line(Json::of(said).as_str())).collect()
}

fn replay(text: &[u8], arguments: &[&str]) -> Answer {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.jsonl");
    std::fs::write(&path, text).unwrap();
    headwater(&[&["run", "replay", path.to_str().unwrap()], arguments].concat())
}

fn recorded(said: &mut Said) -> &mut Recorded {
    match said {
        Said::Event(recorded) => recorded,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_exported_run_is_folded_and_stands_where_it_stood() {
    let said = exported();
    let answer = replay(text(&said).as_bytes(), &["--json"]);
    assert_eq!(answer.code, 0, "{}", answer.err);
    let standing: Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!((&standing["events"], &standing["compared"]), (&json!(said.len() - 3), &json!(false)));
    let context = &standing["context"];
    assert_eq!((&context["status"], &context["state"]), (&json!("running"), &json!({"kept": 2})));
    assert_eq!(
        [&context["nodes"]["second"]["output"], &context["nodes"]["nap"]["status"]],
        [&json!(4), &json!("waiting")]
    );

    let answer = replay(text(&said).as_bytes(), &["--at", "1", "--json"]);
    let before: Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!((&before["context"]["state"], &before["context"]["revision"]), (&json!({}), &json!(1)));
    let answer = replay(text(&said).as_bytes(), &["--at", "99"]);
    assert!(answer.code == 1 && answer.err.contains("the run has no event 99"), "{}", answer.err);
    let answer = replay(text(&said).as_bytes(), &[]);
    assert!(answer.out.contains("each of which can be") && answer.out.contains("not compared"), "{}", answer.out);
}

#[test]
fn what_the_engine_saw_is_held_against_what_the_events_give() {
    let mut said = exported();
    let answer = replay(text(&said).as_bytes(), &["--json"]);
    let mut context = serde_json::from_str::<Value>(&answer.out).unwrap()["context"].take();
    let end = said.len() - 1;
    said.insert(end, Said::Seen { context: Json::of(&context) });
    let answer = replay(text(&said).as_bytes(), &[]);
    assert!(answer.code == 0 && answer.out.contains("the same"), "{}{}", answer.out, answer.err);
    context["state"]["kept"] = json!(3);
    said[end] = Said::Seen { context: Json::of(&context) };
    let answer = replay(text(&said).as_bytes(), &[]);
    assert_eq!(answer.code, 1);
    assert!(answer.err.contains("/state/kept was 3, and is 2"), "{}", answer.err);
}

#[test]
fn a_changed_byte_is_named_by_its_line() {
    let whole = text(&exported());
    let at = whole.find("\"output\":4").unwrap() + 9;
    let line = whole[..at].matches('\n').count() + 1;
    let mut changed = whole.clone().into_bytes();
    changed[at] = b'5';
    let answer = replay(&changed, &[]);
    assert_eq!(answer.code, 1);
    assert!(answer.err.contains(&format!("line {line} is not as it was written")), "{}", answer.err);
    // A file that is cut off between two lines says so too.
    let cut: String = whole.split_inclusive('\n').take(4).collect();
    let answer = replay(cut.as_bytes(), &[]);
    assert!(answer.code == 1 && answer.err.contains("ends before the run's last event"), "{}", answer.err);
    let answer = replay(b"{\"events\": []}\n", &[]);
    assert!(answer.err.contains("line 1 is not one of an exported run"), "{}", answer.err);
    let huge = vec![b'x'; usize::try_from(LINE_BYTES_MAX).unwrap() + 1];
    assert!(replay(&huge, &[]).err.contains("line 1 has more than"));
    assert_eq!(headwater(&["run", "replay", "/no/such/file"]).code, 2);
}

#[test]
fn an_event_that_cannot_be_is_named_even_where_every_line_is_as_it_was_written() {
    let said = exported();
    let revisions = |said: &mut Vec<Said>| {
        let events = said.len() - 3;
        for (revision, said) in (1..).zip(&mut said[2..2 + events]) {
            recorded(said).revision = revision;
        }
        let end = said.len() - 1;
        said[end] = Said::End { events: events as u64 };
    };
    let fails = |said: &[Said], reason: &str| {
        let answer = replay(text(said).as_bytes(), &[]);
        assert_eq!(answer.code, 1, "{reason}: {}", answer.out);
        assert!(answer.err.contains(reason), "{reason}: {}", answer.err);
    };
    // The same event twice.
    let mut twice = said.clone();
    twice.insert(4, twice[3].clone());
    revisions(&mut twice);
    fails(&twice, "the event 3 of the run cannot be: the node first is succeeded and learns nodeSucceeded");
    // One that is missing.
    let mut missing = said.clone();
    missing.remove(3);
    fails(&missing, "the event 3 of the run cannot be: the one before it is 1");
    // The start.
    let mut headless = said.clone();
    headless.remove(2);
    revisions(&mut headless);
    fails(&headless, "the event 1 of the run cannot be: a run begins with its start");
    // Of a node that is not there.
    let mut strange = said.clone();
    let event = recorded(&mut strange[3]);
    event.event = Json::of(&json!({"run": {"nodeSkipped": {"node": "nobody"}}}));
    fails(&strange, "an event names a node that the definition does not have: nobody");
    // Back in time.
    let mut back = said.clone();
    recorded(&mut back[3]).time = "2020-01-01T00:00:00Z".to_owned();
    fails(&back, "the event 2 of the run cannot be: it is of 2020-01-01");
    // A word that this release does not know.
    let mut newer = said.clone();
    recorded(&mut newer[3]).event = Json::of(&json!({"run": {"somethingNew": {}}}));
    fails(&newer, "the event 2 of the run cannot be: it cannot be read");
    // What it is called does not reach the terminal as it is.
    recorded(&mut newer[3]).event = Json::of(&json!({"run": {"\u{1b}[31m": {}}}));
    fails(&newer, "\\u{1b}[31m");
    // Another definition.
    let mut other = said.clone();
    let Said::Definition { content_hash, .. } = &mut other[1] else { panic!("a definition") };
    *content_hash = "0".repeat(64);
    fails(&other, "the definition is not the one that was run");
    // More events than there should be, and something behind the end.
    let mut more = said.clone();
    more.remove(said.len() - 2);
    fails(&more, &format!("the file has {} events, and should have {}", said.len() - 4, said.len() - 3));
    let mut behind = said.clone();
    behind.push(said[2].clone());
    fails(&behind, "something stands behind the end");
}

#[test]
fn a_large_value_is_the_one_that_its_event_names() {
    let mut said = exported();
    let event = recorded(&mut said[3]);
    let value = Json::of(&json!(2));
    event.stored = StoredValue::of(value.as_str().as_bytes());
    event.event = Json::of(
        &serde_json::from_str::<Value>(&event.event.as_str().replace("\"output\":2", "\"output\":null")).unwrap(),
    );
    let answer = replay(text(&said).as_bytes(), &[]);
    assert!(answer.code == 1 && answer.err.contains("is not in the file"), "{}", answer.err);
    recorded(&mut said[3]).value = Some(value);
    assert_eq!(replay(text(&said).as_bytes(), &[]).code, 0);
    recorded(&mut said[3]).value = Some(Json::of(&json!(3)));
    let answer = replay(text(&said).as_bytes(), &[]);
    assert!(answer.code == 1 && answer.err.contains("its value is not the one named"), "{}", answer.err);
}
