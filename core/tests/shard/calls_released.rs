//! Calls of runs that are quarantined, and of runs whose children are: whoever looks at them lets both go on.

use headwater_core::RunId;
use headwater_core::credit::Hands;
use headwater_core::run::{RunCommand, RunStatus};
use headwater_core::shard::{AggregateId, Command, Effect, Owner, ReleaseBy, Released, Submission};
use serde_json::json;

use crate::calls::{called, runs_of};
use crate::succession::{House, left};
use crate::world::ok;

/// A house with a run that waits for its child, and both.
fn house() -> (House, RunId, RunId) {
    let (world, parent) = called(json!({}), json!({}));
    let child = runs_of(&world, "child")[0];
    (House::of(world), parent, child)
}

/// Has every command that follows decided, until nothing follows any more.
fn deliver(house: &mut House, owner: &mut Owner<u32>, mut effects: Vec<Effect>) {
    while let Some(effect) = effects.pop() {
        let Effect::Submit(wish) = effect else { continue };
        owner.submit(0, *wish, house.world.now, &mut Hands::default());
        effects.extend(house.append(owner).1.effects);
    }
}

fn status(owner: &Owner<u32>, run: RunId) -> Option<RunStatus> {
    owner.shard().ended_run(run).map(|ended| ended.status)
}

fn end(house: &mut House, owner: &mut Owner<u32>, run: RunId) {
    let (_, released): (_, Released<u32>) = house.release(owner, &AggregateId::Run(run), ReleaseBy::End {}).unwrap();
    house.assert_folds_alike(&[], &left(house));
    deliver(house, owner, released.effects);
}

#[test]
fn a_child_that_is_ended_has_failed_and_its_caller_hears_of_it() {
    let (mut house, parent, child) = house();
    let mut owner = house.take_over(&[house.place(&AggregateId::Run(child), 1)]);
    house.append(&mut owner);
    assert_eq!(status(&owner, parent), None, "it waits");
    end(&mut house, &mut owner, child);
    assert_eq!((status(&owner, parent), status(&owner, child)), (Some(RunStatus::Failed), Some(RunStatus::Failed)));
}

#[test]
fn a_caller_that_is_ended_has_its_child_cancelled() {
    let (mut house, parent, child) = house();
    let mut owner = house.take_over(&[house.place(&AggregateId::Run(parent), 1)]);
    house.append(&mut owner);
    end(&mut house, &mut owner, parent);
    assert_eq!((status(&owner, parent), status(&owner, child)), (Some(RunStatus::Failed), Some(RunStatus::Cancelled)));
}

#[test]
fn what_a_child_answers_waits_for_the_release_of_its_caller() {
    let (mut house, parent, child) = house();
    let aggregate = AggregateId::Run(parent);
    let mut owner = house.take_over(&[house.place(&aggregate, 1)]);
    house.append(&mut owner);
    let task = house.world.tasks().remove(0);
    let report = Submission::new(house.fresh(), house.world.report_of(&task, ok(json!(1))));
    owner.submit(0, report, house.world.now, &mut Hands::default());
    let effects = house.append(&mut owner).1.effects;
    assert_eq!(status(&owner, child), Some(RunStatus::Succeeded));
    deliver(&mut house, &mut owner, effects);
    assert_eq!(owner.shard().parked_for(&aggregate), 1);
    let (_, released) = house.release(&mut owner, &aggregate, ReleaseBy::Refold {}).unwrap();
    let starts = released.effects.iter().filter(|effect| format!("{effect:?}").contains("StartRun")).count();
    assert_eq!(starts, 0, "a child whose answer is there is not told to start again: it may be forgotten");
    deliver(&mut house, &mut owner, released.effects);
    assert_eq!(status(&owner, parent), Some(RunStatus::Succeeded));
}

#[test]
fn a_quarantined_child_is_cancelled_when_it_is_released_and_nobody_waits_any_more() {
    let (mut house, parent, child) = house();
    let aggregate = AggregateId::Run(child);
    let mut owner = house.take_over(&[house.place(&aggregate, 1)]);
    house.append(&mut owner);
    let cancel = RunCommand::CancelRun { workspace: None, reason: "enough".to_owned(), grace_ms: 0 };
    let cancel = Submission::new(house.fresh(), Command::Run { run: parent, command: cancel });
    owner.submit(0, cancel, house.world.now, &mut Hands::default());
    let effects = house.append(&mut owner).1.effects;
    deliver(&mut house, &mut owner, effects);
    assert_eq!((status(&owner, parent), owner.shard().parked_for(&aggregate)), (Some(RunStatus::Cancelled), 1));
    let (_, released) = house.release(&mut owner, &aggregate, ReleaseBy::Refold {}).unwrap();
    deliver(&mut house, &mut owner, released.effects);
    assert_eq!(status(&owner, child), Some(RunStatus::Cancelled));
}
