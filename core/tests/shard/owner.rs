//! The owner: what may leave before and after an append is acknowledged.

use headwater_core::credit::Hands;
use headwater_core::run::{RunCommand, StartRun, Trigger};
use headwater_core::shard::{
    Answer, BUNDLE_FORMAT, Bundle, BundleError, Command, Mismatch, Owner, Rejection, Released, Submission, Way, digest,
};
use headwater_core::workflow::{ApplyWorkflow, WorkflowCommand};
use headwater_core::{BundleId, CommandId, Json, RunId, Sequence, Timestamp};
use serde_json::{Value, json};

use crate::world::{empty, key, shard_zero};

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
        wishes: None,
    };
    Submission::new(id(number), Command::Run { run, command: RunCommand::StartRun(start) })
}

/// A workflow whose runs ask an asset first: what they ask is an effect.
fn asking() -> serde_json::Value {
    json!({"slug": "chain", "steps": [
        {"id": "a", "jobSlug": "work", "consumes": [{"assetId": "x.y", "onMiss": "wait"}]}]})
}

fn adopt() -> Submission {
    let (definition, _) = headwater_core::definition::compile(&asking()).unwrap();
    let version = headwater_core::DefinitionVersion::FIRST;
    let command = Command::AdoptDefinition { key: key("chain"), version, document: definition.source };
    Submission::new(id(9_999), command)
}

/// A start that is refused for its input.
fn refused(number: u128) -> Submission {
    let mut submission = start(number);
    if let Command::Run { command: RunCommand::StartRun(start), .. } = &mut submission.command {
        start.input = Json::of(&json!([]));
    }
    submission
}

fn owner() -> Owner<u32> {
    Owner::new(empty())
}

/// An owner that knows the definition and has nothing to append.
fn opened() -> Owner<u32> {
    let mut owner = owner();
    owner.submit(0, adopt(), now(), &mut Hands::default());
    owner.next_append(bundle_id(1)).unwrap();
    owner.appended(Sequence::new(1));
    owner
}

/// A question that is asked anew goes behind the effects of its bundle. Where its run is over with the same bundle, it would come
/// behind what lets it be forgotten, and be kept for ever.
#[test]
fn nothing_is_asked_anew_whose_run_is_over_with_the_same_bundle() {
    for is_cancelled in [false, true] {
        let mut owner = opened();
        owner.submit(1, start(1), now(), &mut Hands::default());
        owner.next_append(bundle_id(2)).unwrap();
        owner.appended(Sequence::new(2));
        let asked = owner.shard().outstanding();
        assert_eq!(asked.len(), 1);
        owner.ask_anew(0, asked.clone());
        if is_cancelled {
            let run = owner.shard().active().next().unwrap().id();
            let command = RunCommand::CancelRun { workspace: None, reason: "enough".to_owned(), grace_ms: 0 };
            owner.submit(2, Submission::new(id(2), Command::Run { run, command }), now(), &mut Hands::default());
        }
        owner.next_append(bundle_id(3)).unwrap();
        let said = owner.appended(Sequence::new(3)).effects;
        let said: Vec<String> = said.iter().map(|effect| format!("{effect:?}")).collect();
        let asks = said.iter().filter(|effect| effect.contains("ResolveConsumption")).count();
        let forgets = said.iter().filter(|effect| effect.contains("ForgetWaiter")).count();
        assert_eq!((asks, forgets), if is_cancelled { (0, 1) } else { (1, 0) }, "{said:#?}");
    }
}

fn callers(released: &Released<u32>) -> Vec<u32> {
    released.answers.iter().map(|answer| answer.caller).collect()
}

#[test]
fn answers_and_effects_wait_for_the_append_and_the_next_bundle_fills_meanwhile() {
    let mut owner = owner();
    owner.submit(0, adopt(), now(), &mut Hands::default());
    let first = owner.next_append(bundle_id(1)).unwrap();
    assert_eq!(first.expected, Sequence::ZERO);
    owner.submit(1, start(1), now(), &mut Hands::default());
    owner.submit(2, start(2), now(), &mut Hands::default());
    assert!(owner.next_append(bundle_id(2)).is_none(), "one in flight");
    let released = owner.appended(Sequence::new(1));
    assert_eq!(callers(&released), [0]);
    let second = owner.next_append(bundle_id(2)).unwrap();
    assert_eq!((second.expected, second.commits), (Sequence::new(1), 2));
    let bundle: Bundle = serde_json::from_slice(&second.bytes).unwrap();
    assert_eq!(bundle.previous, digest(&first.bytes));
    let released = owner.appended(Sequence::new(2));
    assert_eq!(released.effects.len(), 2);
    assert_eq!(released.sequence, Some(Sequence::new(2)));
}

#[test]
fn an_idle_owner_refuses_only_when_an_empty_bundle_has_landed() {
    let mut owner = opened();
    owner.submit(1, refused(1), now(), &mut Hands::default());
    let fence = owner.next_append(bundle_id(2)).expect("a refusal needs an append (SHD-4)");
    assert_eq!((fence.commits, fence.expected), (0, Sequence::new(1)));
    let bundle: Bundle = serde_json::from_slice(&fence.bytes).unwrap();
    assert_eq!(bundle.commits, []);
    let released = owner.appended(Sequence::new(2));
    let [answer] = &released.answers[..] else { panic!("one asked") };
    assert!(matches!(answer, Answer { caller: 1, outcome: Err(Rejection::Run(_)) }), "{answer:?}");
    assert_eq!((released.effects, released.sequence), (Vec::new(), None));
    assert!(owner.next_append(bundle_id(3)).is_none(), "nobody waits any more");
}

#[test]
fn what_changes_nothing_waits_for_an_append_too() {
    let mut owner = opened();
    owner.submit(1, adopt(), now(), &mut Hands::default());
    assert_eq!(owner.next_append(bundle_id(2)).unwrap().commits, 0);
    let released = owner.appended(Sequence::new(2));
    let position = released.answers[0].outcome.as_ref().map(|outcome| outcome.position.sequence);
    assert_eq!(position, Ok(Sequence::new(2)), "SHD-3: granted as before, and to be seen at the fence");
}

#[test]
fn a_refusal_decided_while_a_bundle_is_in_flight_waits_for_the_next_one() {
    let mut owner = opened();
    owner.submit(1, start(1), now(), &mut Hands::default());
    owner.next_append(bundle_id(2)).unwrap();
    // The bundle in flight may have landed already, and a newer owner behind it.
    owner.submit(2, refused(2), now(), &mut Hands::default());
    assert_eq!(callers(&owner.appended(Sequence::new(2))), [1]);
    assert_eq!(owner.next_append(bundle_id(3)).unwrap().commits, 0);
    assert_eq!(callers(&owner.appended(Sequence::new(3))), [2]);
}

#[test]
fn a_refusal_beside_a_commit_costs_no_append_of_its_own() {
    let mut owner = opened();
    owner.submit(1, refused(1), now(), &mut Hands::default());
    owner.submit(2, start(2), now(), &mut Hands::default());
    owner.hold(3);
    assert_eq!(owner.next_append(bundle_id(2)).unwrap().commits, 1);
    assert_eq!(callers(&owner.appended(Sequence::new(2))), [1, 2, 3], "in the order they asked");
    assert!(owner.next_append(bundle_id(3)).is_none());
}

#[test]
fn who_is_held_waits_as_one_who_is_refused() {
    let mut owner = opened();
    owner.hold(1);
    assert_eq!(owner.next_append(bundle_id(2)).unwrap().commits, 0);
    owner.hold(2);
    assert_eq!(callers(&owner.appended(Sequence::new(2))), [1]);
    assert_eq!(owner.next_append(bundle_id(3)).unwrap().commits, 0);
    assert_eq!(callers(&owner.appended(Sequence::new(3))), [2]);
}

#[test]
fn an_owner_that_is_fenced_gives_everybody_back_unanswered() {
    let mut owner = opened();
    owner.submit(1, start(1), now(), &mut Hands::default());
    owner.hold(2);
    owner.next_append(bundle_id(2)).unwrap();
    owner.submit(3, refused(3), now(), &mut Hands::default());
    owner.hold(4);
    owner.submit(5, start(5), now(), &mut Hands::default());
    assert_eq!(owner.abandon(), [1, 2, 3, 4, 5]);
}

#[test]
fn those_who_wait_for_nothing_but_the_fence_are_bounded_too() {
    let mut owner = opened();
    for caller in 0..Owner::<u32>::WAITING_MAX {
        assert!(!owner.is_full());
        owner.hold(caller as u32);
    }
    assert!(owner.is_full());
    owner.next_append(bundle_id(2)).unwrap();
    assert!(!owner.is_full());
}

#[test]
fn a_new_owner_knows_everything_and_sends_what_was_not_delivered() {
    let mut before = owner();
    let mut journal = Vec::new();
    for (number, submission) in [adopt(), start(1), start(2)].into_iter().enumerate() {
        before.submit(0, submission, now(), &mut Hands::default());
        let append = before.next_append(bundle_id(number as u128)).unwrap();
        let released = before.appended(append.expected.next());
        if number == 1 {
            before.effects_delivered(Way::Lane(shard_zero()), released.sequence.unwrap());
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
    after.submit(0, start(2), now(), &mut Hands::default());
    let opening = after.next_append(bundle_id(7)).unwrap();
    assert_eq!((opening.commits, opening.expected), (0, Sequence::new(3)), "the first bundle fences");
    let released = after.appended(Sequence::new(4));
    assert!(released.answers[0].outcome.is_ok(), "SHD-3");
}

#[test]
fn a_journal_with_a_hole_is_not_trusted() {
    let mut before = owner();
    before.submit(0, adopt(), now(), &mut Hands::default());
    let first = before.next_append(bundle_id(1)).unwrap();
    before.appended(Sequence::new(1));
    before.submit(0, start(1), now(), &mut Hands::default());
    let second = before.next_append(bundle_id(2)).unwrap();
    let bundle: Bundle = serde_json::from_slice(&second.bytes).unwrap();
    let mut after = owner();
    let refusal = after.fold(Sequence::new(2), &bundle, &second.bytes).unwrap_err();
    assert_eq!(refusal, Mismatch::Previous { expected: String::new(), found: digest(&first.bytes) });
}

#[test]
fn whoever_does_not_know_the_words_of_a_definition_is_told_by_the_bundle_that_brings_it() {
    let of = |join: Value, action: Value| {
        json!({"slug": "chain", "nodes": [{"id": "a", "action": action}, {"id": "b", "action": "noop", "join": join}],
            "transitions": [{"from": "a", "to": "b", "on": "failure"}]})
    };
    let asks = |when: Value, output: Value| {
        json!({"slug": "chain", "steps": [{"id": "a", "action": "noop"},
            {"id": "b", "action": "noop", "dependsOn": ["a"], "when": when}], "output": output})
    };
    let looks = |consumes: Value| {
        let mut of = consumes;
        of["assetId"] = json!("x.y");
        json!({"slug": "chain", "steps": [{"id": "a", "jobSlug": "work", "consumes": [of]}]})
    };
    let fail = json!({"kind": "fail", "code": "meant", "message": "so"});
    let cases = [
        (of(json!("all"), json!("noop")), 1),
        (of(json!({"quorum": 1}), json!("noop")), 1),
        (of(json!("allDone"), json!("noop")), 5),
        (of(json!("noneFailed"), json!("noop")), 5),
        (of(json!("any"), fail), 5),
        (of(json!("all"), json!({"kind": "transform", "output": "${{ input.n > 1 }}"})), 1),
        (asks(json!("nodes.a.output == 'status'"), json!({})), 1),
        (asks(json!("nodes.a.status == 'failed'"), json!({})), 5),
        (asks(json!("[1].map(json, json.size()) == []"), json!("${{ 'ab'.reverse().split('').join('-') }}")), 1),
        (asks(json!("size([2, 1].sort()) == 2"), json!({})), 5),
        (of(json!("all"), json!({"kind": "transform", "output": {"n": ["${{ [1].sum() }}"]}})), 5),
        (looks(json!({"partition": "${{ 'a%d'.format([1]) }}"})), 5),
        (looks(json!({"producerInput": {"n": "${{ lists.range(2) }}"}})), 5),
        (looks(json!({"partition": "${{ 'a' + 'b' }}"})), 1),
        (asks(json!("true"), json!({"n": "n: ${{ 'x'.matches('y') ? 'z' : url.encode('&') }}"})), 5),
        (asks(json!("true"), json!({"n": ["${{ nodes['b'].attempts }}"]})), 5),
        (asks(json!("[1].map(now, now) == [1].map(time, time)"), json!({})), 1),
        (asks(json!("true"), json!("${{ now }}")), 5),
        (asks(json!("true"), json!("${{ type(input.n) == timestamp }}")), 5),
        (asks(json!("[1].fold(a, 0, x, a + x) == 1"), json!({})), 5),
        (asks(json!("size([1].sortBy(x, x)) == 1"), json!({})), 5),
    ];
    for (document, needs) in cases {
        let (key, version) = (key("chain"), headwater_core::DefinitionVersion::FIRST);
        let (definition, _) = headwater_core::definition::compile(&document).unwrap();
        let (document, content_hash) = (definition.source, definition.content_hash);
        let apply = WorkflowCommand::ApplyWorkflow(ApplyWorkflow { document: document.clone(), content_hash });
        let adopt = Command::AdoptDefinition { key: key.clone(), version, document: document.clone() };
        for command in [adopt, Command::Workflow { key, command: apply }] {
            let mut owner = owner();
            owner.next_append(bundle_id(1)).unwrap();
            owner.appended(Sequence::new(1));
            owner.submit(0, Submission::new(id(1), command), now(), &mut Hands::default());
            let bundle = Bundle::read(&owner.next_append(bundle_id(2)).unwrap().bytes).unwrap();
            assert_eq!((bundle.commits.len(), bundle.needs), (1, needs), "{document:?}");
        }
    }
}

#[test]
fn a_bundle_that_needs_more_than_this_release_knows_is_not_read_whatever_else_it_says() {
    let mut owner = owner();
    let written = String::from_utf8(owner.next_append(bundle_id(1)).unwrap().bytes).unwrap();
    assert!(!written.contains("needs"), "absent, it is 1: {written}");
    assert_eq!(Bundle::read(written.as_bytes()).unwrap().needs, 1);
    let later = format!(r#""needs":{},"#, BUNDLE_FORMAT + 1);
    let known = written.replacen('{', &format!("{{{later}"), 1);
    let foreign = known.replace(r#""commits":[]"#, r#""commits":[{"of":"another kind"}]"#);
    let other = format!(r#"{{{later}"commits":"packed"}}"#);
    for bytes in [known, foreign, other] {
        let refusal = Bundle::read(bytes.as_bytes()).unwrap_err();
        assert!(matches!(refusal, BundleError::Newer { needs } if needs == BUNDLE_FORMAT + 1), "{refusal}: {bytes}");
    }
    for bytes in ["{}", "gibberish", r#"{"needs":1,"commits":7}"#, r#"{"needs":"all"}"#] {
        let refusal = Bundle::read(bytes.as_bytes()).unwrap_err();
        assert!(matches!(refusal, BundleError::Malformed(_)), "{refusal}: {bytes}");
    }
}
