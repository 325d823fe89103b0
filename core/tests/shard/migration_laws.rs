//! Laws of runs that go over to another version in the middle of any story.

use headwater_core::credit::Hands;
use headwater_core::run::{Budget, Migration, Renamed, RunCommand, RunRejection};
use headwater_core::shard::{Command, Rejection, Submission};
use headwater_core::{CommandId, DefinitionVersion, NodeId, RunId};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::laws::{fold, graphs, play_meanwhile, to_the_end};
use crate::parts::is_the_same_from_checkpoints;
use crate::world::World;

/// The same workflow under other words.
fn said_otherwise(document: &Value) -> Value {
    let mut document = document.clone();
    document["description"] = json!("said otherwise");
    document
}

/// The same where every node is called otherwise, and the names of those.
fn renamed(document: &Value) -> (Value, Renamed) {
    let (mut text, mut map) = (document.to_string(), Renamed::new());
    for number in 0..8 {
        for prefix in ["n", "b", "c", "d", "s"] {
            let (from, to) = (format!("{prefix}{number}"), format!("re{prefix}{number}"));
            for (before, after) in [("\"", "\""), ("nodes.", "."), ("nodes.", " "), ("nodes.", "\"")] {
                text = text.replace(&format!("{before}{from}{after}"), &format!("{before}{to}{after}"));
            }
            let name = |name: &str| -> NodeId { name.parse().unwrap() };
            map.insert(name(&from), Some(name(&to)));
        }
    }
    let renamed: Value = serde_json::from_str(&text).unwrap();
    let is_there =
        |(from, _): &(&NodeId, &mut Option<NodeId>)| document.to_string().contains(&format!("\"id\":\"{from}\""));
    let mut there = Renamed::new();
    for (from, to) in map.iter_mut().filter(is_there) {
        there.insert(from.clone(), to.clone());
    }
    (renamed, there)
}

/// Has a run go over to the first version; says whether it has.
fn migrate(world: &mut World, run: RunId, map: &Renamed, number: u128) -> bool {
    let id = |with: u128| CommandId::from_uuid(uuid::Uuid::from_u128((1 << 100) + with + 2 * number));
    let (workspace, version) = ("default".parse().unwrap(), DefinitionVersion::FIRST);
    let wish = Migration { workspace, id: id(0), version, map: map.clone(), reason: None, dry_run: false };
    let command = Command::Run { run, command: RunCommand::MigrateRun(wish) };
    match world.decide_as(Submission::new(id(1), command), &mut Hands::default()) {
        Ok(decided) => decided.commit.is_some(),
        Err(Rejection::Run(RunRejection::MigrationInvalid { problems })) => {
            assert!(!problems.is_empty());
            false
        }
        // It has ended, perhaps so long ago that it was forgotten.
        Err(Rejection::Run(RunRejection::RunClosed { .. } | RunRejection::RunNotFound)) => false,
        Err(other) => panic!("{other:?}"),
    }
}

/// Plays a story in which every run that can goes over before a step; returns how many have.
fn migrated(versions: &[Value], map: &Renamed, story: &[u8], at: usize) -> (World, Vec<RunId>, u128) {
    let mut count = 0;
    let (world, runs) = play_meanwhile(Budget::default(), versions, story, |world, runs, number| {
        if number == at {
            runs.iter().zip(0..).for_each(|(run, number)| count += u128::from(migrate(world, *run, map, number)));
        }
    });
    (world, runs, count)
}

/// Where nodes keep their names, what undoes them is told by those.
fn check(world: &mut World, runs: &[RunId], named_as_before: bool) {
    let folded = fold(world, 3);
    for run in runs {
        assert_eq!(world.shard.run(*run), folded.run(*run));
    }
    to_the_end(world, runs);
    assert_eq!(world.shard.active_runs(), 0);
    assert_eq!(world.shard.next_due(), None);
    for run in runs.iter().filter(|_| named_as_before) {
        crate::compensation_ends::check(world, *run);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Whoever goes over to the same goes on as if he had not.
    #[test]
    fn a_version_that_is_the_same_changes_nothing(document in graphs(), story in proptest::collection::vec(any::<u8>(), 1..40), at in 0..40_usize) {
        let versions = [said_otherwise(&document), document];
        let at = at % story.len();
        let (mut other, runs) = play_meanwhile(Budget::default(), &versions, &story, |_, _, _| {});
        let (mut world, same, _) = migrated(&versions, &Renamed::new(), &story, at);
        prop_assert_eq!(&runs, &same);
        // What goes on as another run of the same version is of another one then.
        let told = |world: &World, run: RunId| {
            world.timeline(run).replace(" MIGRATED:1", "").replace("succeeds@2", "succeeds@1")
        };
        for run in &runs {
            prop_assert_eq!(told(&world, *run), told(&other, *run));
        }
        check(&mut world, &runs, true);
        to_the_end(&mut other, &runs);
        for run in &runs {
            prop_assert_eq!(told(&world, *run), told(&other, *run));
        }
    }

    /// Whatever its nodes are called then, a run goes on and ends.
    #[test]
    fn nodes_that_are_called_otherwise_go_on(document in graphs(), story in proptest::collection::vec(any::<u8>(), 1..40), at in 0..40_usize) {
        let (version, map) = renamed(&document);
        prop_assume!(headwater_core::definition::compile(&version).is_ok());
        let at = at % story.len();
        let (mut world, runs, count) = migrated(&[version, document], &map, &story, at);
        if count > 0 && story.len() < 12 {
            is_the_same_from_checkpoints(&world, runs[0]);
        }
        check(&mut world, &runs, false);
    }

    /// Whoever goes over to something else is refused, or goes on and ends.
    #[test]
    fn a_run_that_fits_another_version_goes_on_in_it(version in graphs(), document in graphs(), story in proptest::collection::vec(any::<u8>(), 1..40), at in 0..40_usize) {
        let at = at % story.len();
        let (mut world, runs, _) = migrated(&[version, document], &Renamed::new(), &story, at);
        check(&mut world, &runs, true);
    }
}
