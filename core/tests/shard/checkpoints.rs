//! Checkpoints: going on from one is having folded the whole journal, and what cannot be used is refused.

use headwater_core::run::RunCommand;
use headwater_core::run::task_of;
use headwater_core::shard::{Bundle, CheckpointError, Command, Commit, Effect, Owner, Shard, ShardMap, Submission};
use headwater_core::shard::{CHECKPOINT_FORMAT, digest};
use headwater_core::{BundleId, CommandId, Epoch, Sequence, ShardId, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::everything;
use crate::laws::{graphs, play};
use crate::world::{World, empty, hands, ok, shard_zero};

fn bundle_id(number: usize) -> BundleId {
    BundleId::from_uuid(uuid::Uuid::from_u128(number as u128))
}

/// The journal of these commits in bundles of `size`: chained, now and then of a new owner, effects confirmed late.
pub fn journal(commits: &[Commit], size: usize) -> Vec<Vec<u8>> {
    let mut journal: Vec<Vec<u8>> = Vec::new();
    let mut epoch = Epoch::FIRST;
    for commits in commits.chunks(size) {
        let mut append = |epoch, commits: &[Commit]| {
            let sequence = journal.len() as u64 + 1;
            let bundle = Bundle {
                shard: shard_zero(),
                epoch,
                id: bundle_id(journal.len()),
                previous: journal.last().map(|bytes| digest(bytes)).unwrap_or_default(),
                effects_done: Sequence::new(sequence.saturating_sub(2 + sequence % 4)),
                replaces: None,
                resends: Vec::new(),
                needs: 1,
                ahead: None,
                heard: Vec::new(),
                aside: None,
                commits: commits.to_vec(),
            };
            journal.push(serde_json::to_vec(&bundle).unwrap());
            sequence
        };
        if append(epoch, commits) % 5 == 0 {
            epoch = epoch.next();
            append(epoch, &[]);
        }
    }
    journal
}

pub fn owner() -> Owner<u32> {
    Owner::new(empty())
}

pub fn restore(bytes: &[u8]) -> Result<Owner<u32>, CheckpointError> {
    Owner::restore(empty(), bytes)
}

/// Folds what of the journal the owner has not folded yet.
pub fn fold(owner: &mut Owner<u32>, journal: &[Vec<u8>]) {
    for at in owner.last().get()..journal.len() as u64 {
        let bytes = &journal[at as usize];
        let bundle = serde_json::from_slice(bytes).unwrap();
        owner.fold(Sequence::new(at + 1), &bundle, bytes).unwrap();
    }
}

/// What an owner does next: it fires timers, hears of attempts, is asked what it has granted before, starts a run.
/// Returns what it lets go, answers among it, and the bundle it appends.
fn go_on(owner: &mut Owner<u32>, world: &mut World, inherited: &[(Sequence, Vec<Effect>)]) -> (String, String) {
    let now = world.now.after(std::time::Duration::from_secs(7));
    let id = |number: u128| CommandId::from_uuid(uuid::Uuid::from_u128(u128::MAX - number));
    let mut wishes: Vec<Submission> = Vec::new();
    for command in owner.shard().due(now, usize::MAX) {
        wishes.push(Submission::new(id(wishes.len() as u128), command));
    }
    for effect in inherited.iter().flat_map(|(_, effects)| effects) {
        match effect {
            Effect::Submit(submission) => wishes.push(Submission::clone(submission)),
            Effect::CancelTasks { .. } | Effect::PublishAsset(_) | Effect::PublishDefinition { .. } => {}
        }
    }
    // What waits is handed out, and what is held is reported.
    let runs: Vec<_> = owner.shard().active().map(|run| run.id()).collect();
    for run in runs.into_iter().collect::<std::collections::BTreeSet<_>>() {
        let run = owner.shard().run(run).unwrap();
        for held in run.held().collect::<Vec<_>>() {
            let task = task_of(run, &held.node).unwrap();
            let command = world.report_of(&task, ok(json!({"n": 1})));
            wishes.push(Submission::new(id(wishes.len() as u128), command));
        }
    }
    // Ids that were granted are answered again, also for another wish.
    for commit in &world.commits {
        if let headwater_core::shard::AggregateId::Run(run) = commit.aggregate {
            let command = Command::Run {
                run,
                command: RunCommand::CancelRun { workspace: None, reason: "again".into(), grace_ms: 0 },
            };
            wishes.push(Submission::new(commit.command, command.clone()));
            wishes.push(Submission::new(id(wishes.len() as u128), command));
        }
    }
    for (caller, wish) in (0..).zip(wishes) {
        owner.submit(caller, wish, now, &mut hands(2));
    }
    let append = owner.next_append(bundle_id(99)).unwrap();
    let released = owner.appended(append.expected.next());
    (format!("{released:?}"), String::from_utf8(append.bytes).unwrap())
}

/// SHD-5, at every cut of a journal.
pub fn a_checkpoint_and_the_tail_are_the_whole(world: &mut World, journal: &[Vec<u8>]) {
    let mut whole = owner();
    fold(&mut whole, journal);
    let expected = whole.checkpoint();
    let inherited = whole.inherit();
    let next = go_on(&mut whole, world, &inherited);
    let mut prefix = owner();
    for cut in 0..=journal.len() {
        fold(&mut prefix, &journal[..cut]);
        let bytes = prefix.checkpoint();
        let mut restored = restore(&bytes).unwrap();
        assert_eq!(restored.checkpoint(), bytes, "reading and writing changes nothing, at {cut}");
        assert_eq!(restored.shard().next_due(), prefix.shard().next_due());
        // What is not written, because it follows, is there too.
        for commit in &world.commits {
            if let headwater_core::shard::AggregateId::Run(run) = commit.aggregate {
                assert_eq!(restored.shard().run(run), prefix.shard().run(run), "at {cut}");
            }
        }
        fold(&mut restored, journal);
        let (found, wanted) = (restored.checkpoint(), expected.clone());
        assert_eq!(String::from_utf8(found), String::from_utf8(wanted), "at {cut}");
        assert_eq!(restored.inherit(), inherited, "at {cut}");
        assert_eq!(go_on(&mut restored, world, &inherited), next, "at {cut}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// SHD-5: whatever happened, and wherever it is cut, a checkpoint and the tail are the whole journal.
    #[test]
    fn a_checkpoint_is_its_prefix(
        document in graphs(),
        story in proptest::collection::vec(any::<u8>(), 0..40),
        size in 1..9_usize,
    ) {
        let (mut world, _) = play(&document, &story);
        let journal = journal(&world.commits, size);
        a_checkpoint_and_the_tail_are_the_whole(&mut world, &journal);
    }
}

#[test]
fn a_checkpoint_is_its_prefix_also_of_assets_keys_and_quarantines() {
    for size in [1, 4] {
        let mut world = everything::world();
        let journal = journal(&world.commits, size);
        a_checkpoint_and_the_tail_are_the_whole(&mut world, &journal);
    }
}

#[test]
fn equal_states_give_equal_bytes_whatever_order_their_tables_have() {
    let journal = journal(&everything::world().commits, 3);
    let checkpoints: Vec<_> = (0..3)
        .map(|_| {
            let mut owner = owner();
            fold(&mut owner, &journal);
            owner.checkpoint()
        })
        .collect();
    assert!(checkpoints.windows(2).all(|pair| pair[0] == pair[1]));
}

/// A checkpoint of everything, as text, and its journal.
fn sample() -> (String, Vec<Vec<u8>>) {
    let journal = journal(&everything::world().commits, 3);
    let mut owner = owner();
    fold(&mut owner, &journal);
    (String::from_utf8(owner.checkpoint()).unwrap(), journal)
}

#[test]
fn a_checkpoint_knows_the_entry_it_stands_on() {
    let (text, journal) = sample();
    let restored = restore(text.as_bytes()).unwrap();
    assert_eq!(restored.last(), Sequence::new(journal.len() as u64));
    assert!(restored.stands_on(journal.last().unwrap()));
    assert!(!restored.stands_on(&journal[0]));
}

#[test]
fn a_checkpoint_of_a_later_format_is_refused_whatever_else_it_says_and_names_the_release_it_needs() {
    let later = format!(r#"{{"format":{},"somethingNew":[1]}} and what nobody reads"#, CHECKPOINT_FORMAT + 1);
    let refusal = restore(later.as_bytes()).unwrap_err();
    assert!(matches!(refusal, CheckpointError::Format { found, .. } if found == CHECKPOINT_FORMAT + 1), "{refusal}");
    assert!(refusal.to_string().ends_with("it needs a later release"), "{refusal}");
    let later = format!(r#"{{"release":"9.1.0","format":{}}}"#, CHECKPOINT_FORMAT + 1);
    let refusal = restore(later.as_bytes()).unwrap_err();
    assert!(refusal.to_string().contains("needs release 9.1.0"), "{refusal}");
}

/// Every section is refused in a format that is not its own, and the refusal says what to do.
#[test]
fn a_section_of_a_later_format_or_of_an_unknown_kind_is_refused_and_names_the_release_it_needs() {
    let (text, _) = sample();
    let text = text.replacen(env!("CARGO_PKG_VERSION"), "9.1.0", 1);
    let heads = text.lines().filter_map(|line| section_head(line).map(|head| (line, head)));
    let mut kinds = 0;
    for (line, head) in heads {
        kinds += 1;
        let (kind, format) = (head["kind"].as_str().unwrap(), head["format"].as_u64().unwrap());
        let changed = |name: &str, format: u64| {
            let head = json!({"kind": name, "format": format, "records": head["records"]});
            restore(text.replacen(line, &head.to_string(), 1).as_bytes()).unwrap_err()
        };
        for refusal in [changed(kind, format + 1), changed("somethingNew", 1)] {
            assert!(matches!(refusal, CheckpointError::Newer { .. }), "{kind}: {refusal}");
            assert!(refusal.to_string().contains("needs release 9.1.0"), "{kind}: {refusal}");
        }
        let refusal = changed(kind, 0);
        assert!(matches!(refusal, CheckpointError::Older { .. }), "{kind}: {refusal}");
    }
    assert!(kinds > 9, "{kinds} sections");
}

fn section_head(line: &str) -> Option<Value> {
    serde_json::from_str::<Value>(line).ok().filter(|head| head.get("records").is_some())
}

#[test]
fn a_checkpoint_of_another_shard_is_refused() {
    let (text, _) = sample();
    let other = ShardId::new(1).unwrap();
    let refusal = Owner::<u32>::restore(Shard::new(other, ShardMap::even(2).unwrap()), text.as_bytes()).unwrap_err();
    assert!(matches!(refusal, CheckpointError::Shard { expected, .. } if expected == other), "{refusal}");
}

#[test]
fn damaged_bytes_are_refused() {
    let (text, _) = sample();
    let half = &text[..text.len() / 2];
    let more = format!("{text}{{}}");
    let unknown = text.replacen(r#""kind":"clock""#, r#""wrist":1,"kind":"clock""#, 1);
    let missing = text.replacen(r#""keyed":false,"#, "", 1);
    let lines: Vec<_> = text.lines().collect();
    let cut = (1..lines.len()).map(|count| lines[..count].join("\n"));
    let short = (1..lines.len()).map(|out| [&lines[..out], &lines[out + 1..]].concat().join("\n"));
    for damaged in ["", "{}", "gibberish", half, &more, &unknown, &missing] {
        let refusal = restore(damaged.as_bytes()).unwrap_err();
        assert!(matches!(refusal, CheckpointError::Malformed(_)), "{refusal}: {damaged}");
    }
    for damaged in cut.chain(short) {
        assert!(restore(damaged.as_bytes()).is_err(), "a line is missing: {damaged}");
    }
}

#[test]
fn a_checkpoint_that_does_not_hold_together_is_refused() {
    let (text, _) = sample();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let first_of = |kind: &str| lines.iter().position(|line| line["kind"] == kind).unwrap() + 1;
    let refused = |change: &dyn Fn(&mut Vec<Value>)| {
        let mut lines = lines.clone();
        change(&mut lines);
        let lines: Vec<_> = lines.iter().map(Value::to_string).collect();
        restore(lines.join("\n").as_bytes()).unwrap_err()
    };
    let (definition, run, clock) = (first_of("definitions"), first_of("runs"), first_of("clock"));
    let refusal = refused(&|lines| lines[definition][0]["workflow"] = json!("elsewhere"));
    assert!(matches!(refusal, CheckpointError::DefinitionMissing { .. }), "{refusal}");
    let refusal = refused(&|lines| lines[definition][2] = json!({"slug": "chain"}));
    assert!(matches!(refusal, CheckpointError::Definition { .. }), "{refusal}");
    let known = lines[run]["nodes"][0][0].as_str().unwrap();
    for elsewhere in ["elsewhere".to_owned(), format!("{known}@17")] {
        let refusal = refused(&|lines| lines[run]["nodes"][0][0] = json!(elsewhere));
        assert!(matches!(refusal, CheckpointError::Node { .. }), "{refusal}");
        let refusal = refused(&|lines| lines[run]["agenda"] = json!([elsewhere]));
        assert!(matches!(refusal, CheckpointError::Node { .. }), "{refusal}");
        let refusal = refused(&|lines| lines[run]["unrecorded"] = json!([[elsewhere, "a.b", null]]));
        assert!(matches!(refusal, CheckpointError::Node { .. }), "{refusal}");
    }
    let refusal = refused(&|lines| {
        lines[0]["sections"] = json!(lines[0]["sections"].as_u64().unwrap() + 1);
        lines.extend_from_within(clock - 1..=clock);
    });
    assert!(matches!(refusal, CheckpointError::Twice { .. }), "{refusal}");
}

#[test]
#[should_panic(expected = "before anything is decided")]
fn an_owner_that_has_handed_a_bundle_out_takes_no_checkpoint() {
    let mut owner = owner();
    owner.next_append(bundle_id(1)).unwrap();
    owner.checkpoint();
}

#[test]
#[should_panic(expected = "before anything is decided")]
fn an_owner_that_has_decided_takes_no_checkpoint() {
    let mut owner = owner();
    let mut world = World::new();
    let document = crate::world::chain(&["a"]);
    world.apply(&document);
    let command = Command::AdoptDefinition {
        key: crate::world::key("chain"),
        version: headwater_core::DefinitionVersion::FIRST,
        document: headwater_core::Json::of(&document),
    };
    owner.submit(0, Submission::new(world.fresh_id(), command), Timestamp::default(), &mut hands(2));
    owner.checkpoint();
}
