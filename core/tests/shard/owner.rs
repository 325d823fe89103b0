//! The owner: what may leave before and after an append is acknowledged.

use headwater_core::run::{RunCommand, StartRun, Trigger};
use headwater_core::shard::{Bundle, Command, Mismatch, Owner, Rejection, Shard, ShardMap, Submission, digest};
use headwater_core::{BundleId, CommandId, Json, RunId, Sequence, Timestamp};
use serde_json::json;

use crate::world::{chain, key, shard_zero};

fn id(number: u128) -> CommandId {
    CommandId::from_uuid(uuid::Uuid::from_u128(number))
}

fn bundle_id(number: u128) -> BundleId {
    BundleId::from_uuid(uuid::Uuid::from_u128(number))
}

fn now() -> Timestamp {
    Timestamp::from_micros(1_750_000_000_000_000)
}

fn start(number: u128) -> Submission {
    let run = RunId::new(shard_zero(), now(), number << 12);
    let start = StartRun {
        workspace: "default".parse().unwrap(),
        workflow: "chain".parse().unwrap(),
        version: headwater_core::DefinitionVersion::FIRST,
        input: Json::empty_object(),
        trigger: Trigger::Manual {},
        keyed: false,
    };
    Submission { id: id(number), command: Command::Run { run, command: RunCommand::StartRun(start) } }
}

fn adopt() -> Submission {
    let (definition, _) = headwater_core::definition::compile(&chain(&["a"])).unwrap();
    let version = headwater_core::DefinitionVersion::FIRST;
    Submission {
        id: id(9_999),
        command: Command::AdoptDefinition { key: key("chain"), version, document: definition.source },
    }
}

fn owner() -> Owner<u32> {
    Owner::new(Shard::new(shard_zero(), ShardMap::even(1).unwrap()))
}

#[test]
fn answers_and_effects_wait_for_the_append_and_the_next_bundle_fills_meanwhile() {
    let mut owner = owner();
    assert!(owner.submit(0, adopt(), now(), &mut []).is_none());
    let first = owner.next_append(bundle_id(1)).unwrap();
    assert_eq!(first.expected, Sequence::ZERO);
    assert!(owner.submit(1, start(1), now(), &mut []).is_none());
    assert!(owner.submit(2, start(2), now(), &mut []).is_none());
    assert!(owner.next_append(bundle_id(2)).is_none(), "one in flight");
    let released = owner.appended(Sequence::new(1));
    assert_eq!(released.answers.iter().map(|a| a.caller).collect::<Vec<_>>(), [0]);
    let second = owner.next_append(bundle_id(2)).unwrap();
    assert_eq!((second.expected, second.commits), (Sequence::new(1), 2));
    let bundle: Bundle = serde_json::from_slice(&second.bytes).unwrap();
    assert_eq!(bundle.previous, digest(&first.bytes));
    let released = owner.appended(Sequence::new(2));
    assert_eq!(released.effects.len(), 2);
    assert_eq!(released.sequence, Some(Sequence::new(2)));
}

#[test]
fn a_refusal_waits_for_what_it_could_see_and_else_not() {
    let mut owner = owner();
    owner.submit(0, adopt(), now(), &mut []);
    owner.next_append(bundle_id(1)).unwrap();
    let mut other = start(1);
    if let Command::Run { command: RunCommand::StartRun(start), .. } = &mut other.command {
        start.input = Json::of(&json!([]));
    }
    assert!(owner.submit(1, other.clone(), now(), &mut []).is_none());
    let released = owner.appended(Sequence::new(1));
    assert_eq!(released.answers.len(), 2);
    let at_once = owner.submit(2, other, now(), &mut []).unwrap();
    assert!(matches!(at_once.outcome, Err(Rejection::Run(_))));
}

#[test]
fn a_new_owner_knows_everything_and_sends_what_was_not_delivered() {
    let mut before = owner();
    let mut journal = Vec::new();
    for (number, submission) in [adopt(), start(1), start(2)].into_iter().enumerate() {
        before.submit(0, submission, now(), &mut []);
        let append = before.next_append(bundle_id(number as u128)).unwrap();
        let released = before.appended(append.expected.next());
        if number == 1 {
            before.effects_delivered(released.sequence.unwrap());
        }
        journal.push(append.bytes);
    }
    let mut after = owner();
    for (at, bytes) in journal.iter().enumerate() {
        let bundle = serde_json::from_slice(bytes).unwrap();
        assert_eq!(after.fold(Sequence::new(at as u64 + 1), &bundle, bytes), Ok(Vec::new()));
    }
    assert_eq!(after.epoch().get(), 2);
    let inherited = after.inherit();
    let sequences: Vec<_> = inherited.iter().map(|(sequence, effects)| (sequence.get(), effects.len())).collect();
    // The third bundle named the second as delivered. Sequence 0 stands for what active runs wait for.
    assert_eq!(sequences, [(3, 1), (0, 2)]);
    let again = after.submit(0, start(2), now(), &mut []).unwrap();
    assert!(again.outcome.is_ok(), "SHD-3");
    let opening = after.next_append(bundle_id(7)).unwrap();
    assert_eq!((opening.commits, opening.expected), (0, Sequence::new(3)), "the first bundle fences");
}

#[test]
fn a_journal_with_a_hole_is_not_trusted() {
    let mut before = owner();
    before.submit(0, adopt(), now(), &mut []);
    let first = before.next_append(bundle_id(1)).unwrap();
    before.appended(Sequence::new(1));
    before.submit(0, start(1), now(), &mut []);
    let second = before.next_append(bundle_id(2)).unwrap();
    let bundle: Bundle = serde_json::from_slice(&second.bytes).unwrap();
    let mut after = owner();
    let refusal = after.fold(Sequence::new(2), &bundle, &second.bytes).unwrap_err();
    assert_eq!(refusal, Mismatch::Previous { expected: String::new(), found: digest(&first.bytes) });
}
