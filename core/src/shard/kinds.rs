//! The aggregates there are. Whatever has to know which kind one is of begins with a match in this file; what is done with
//! any of them is `shelf`, and what is peculiar to a kind stands in its file below this one.
//!
//! Journals, checkpoints and messages hold these enums: variants are only ever added.

mod action;
mod asset;
mod definition;
mod id;
mod memo;
mod record;
mod run;
mod start;
mod workflow;

use serde::{Deserialize, Serialize};

pub use self::id::AggregateId;
pub use self::record::{Record, Shown};
use super::checkpoint::Sections;
use super::command::Asked;
use super::compiled::Missing;
use super::quarantine::Release;
use super::reactions::Reactions;
use super::shelf::{self, Aggregate, Shelf, Told, Unrestored};
use super::{ActionKey, AssetKey, Commit, Decided, Effect, Origin, Rejection, Shard, Submission, WorkflowKey};
use crate::action::{Action, ActionCommand, ActionEvent};
use crate::asset::{Asset, AssetCommand, AssetEvent};
use crate::credit::Hands;
use crate::dialogue::MemoCommand;
use crate::memo::{Memo, MemoEvent, MemoKey};
use crate::run::{Run, RunCommand, RunEvent, RunRecord};
use crate::workflow::{Workflow, WorkflowCommand, WorkflowEvent};
use crate::{DefinitionVersion, Json, Revision, RunId, Timestamp};

pub(super) use self::record::{put, record};
pub(super) use self::run::worker_bytes;
pub(super) use self::start::{holder_of, set_aside_what_is_broken, start_hash};

/// A wish and the aggregate it is for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Command {
    Run {
        run: RunId,
        command: RunCommand,
    },
    Asset {
        key: AssetKey,
        command: AssetCommand,
    },
    Workflow {
        key: WorkflowKey,
        command: WorkflowCommand,
    },
    Action {
        key: ActionKey,
        command: ActionCommand,
    },
    Memo {
        memo: MemoKey,
        command: MemoCommand,
    },
    /// Keep a definition version that a run of this shard is about to use.
    AdoptDefinition {
        key: WorkflowKey,
        version: DefinitionVersion,
        document: Json,
    },
}

/// A fact about any aggregate: `{"run": {"runStarted": {…}}}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    Run(RunEvent),
    Asset(AssetEvent),
    Workflow(WorkflowEvent),
    Action(ActionEvent),
    Memo(MemoEvent),
    /// The shard keeps this definition version, so that its journal needs no other source.
    DefinitionAdopted {
        document: Json,
    },
    /// The aggregate left quarantine. The first of its commit, whatever the aggregate is; what stands behind it is for those
    /// who read histories.
    Released(Box<Release>),
}

/// What lives in a shard.
#[derive(Debug, Default)]
pub(super) struct Shelves {
    /// Those that have not ended.
    pub runs: Shelf<Run>,
    pub assets: Shelf<Asset>,
    pub workflows: Shelf<Workflow>,
    pub actions: Shelf<Action>,
    pub memos: Shelf<Memo>,
}

/// What a checkpoint holds of that.
#[derive(Default)]
pub(super) struct Records {
    pub workflows: Vec<Workflow>,
    pub actions: Vec<Action>,
    pub memos: Vec<Memo>,
    pub assets: Vec<Asset>,
    pub runs: Vec<RunRecord>,
}

/// Writes everything that lives. What comes with a kind that a release before does not know is written where there is some.
pub(super) fn write(shelves: &Shelves, sections: &mut Sections) {
    let Shelves { runs, assets, workflows, actions, memos } = shelves;
    if !actions.is_empty() {
        shelf::write(actions, sections);
    }
    if !memos.is_empty() {
        shelf::write(memos, sections);
    }
    shelf::write(workflows, sections);
    shelf::write(assets, sections);
    shelf::write(runs, sections);
}

/// Fills empty shelves.
pub(super) fn restore(shard: &mut Shard, records: Records) -> Result<(), Unrestored> {
    let Records { workflows, actions, memos, assets, runs } = records;
    shelf::restore::<Memo>(shard, memos)?;
    shelf::restore::<Action>(shard, actions)?;
    shelf::restore::<Workflow>(shard, workflows)?;
    shelf::restore::<Asset>(shard, assets)?;
    shelf::restore::<Run>(shard, runs)
}

impl Command {
    /// Returns whom the wish is for.
    pub fn target(&self) -> AggregateId {
        match self {
            Self::Run { run, .. } => AggregateId::Run(*run),
            Self::Asset { key, .. } => AggregateId::Asset(key.clone()),
            Self::Workflow { key, .. } => AggregateId::Workflow(key.clone()),
            Self::Action { key, .. } => AggregateId::Action(key.clone()),
            Self::Memo { memo, .. } => AggregateId::Memo(*memo),
            Self::AdoptDefinition { key, version, .. } => AggregateId::Definition(key.clone(), *version),
        }
    }

    /// Returns the run it is for.
    pub fn run(&self) -> Option<RunId> {
        if let Self::Run { run, .. } = self { Some(*run) } else { None }
    }

    /// Returns whether the shard gives it to itself, under an id that is new each time.
    pub fn is_own(&self) -> bool {
        match self {
            Self::Run { command, .. } => Run::is_own(command),
            Self::Asset { command, .. } => Asset::is_own(command),
            Self::Workflow { command, .. } => Workflow::is_own(command),
            Self::Action { command, .. } => Action::is_own(command),
            Self::Memo { command, .. } => Memo::is_own(command),
            Self::AdoptDefinition { .. } => true,
        }
    }

    /// Returns whether it changes nothing and is sent for its answer, which is given however often it is asked.
    pub(crate) fn is_question(&self) -> bool {
        matches!(self, Self::Workflow { command: WorkflowCommand::NameCurrent { .. }, .. })
    }

    /// Returns how many bytes somebody outside has its decision go through.
    pub fn bytes_asked(&self) -> usize {
        match self {
            Self::Run { command, .. } => Run::bytes_asked(command),
            Self::Asset { command, .. } => Asset::bytes_asked(command),
            Self::Workflow { command, .. } => Workflow::bytes_asked(command),
            Self::Action { command, .. } => Action::bytes_asked(command),
            Self::Memo { command, .. } => Memo::bytes_asked(command),
            Self::AdoptDefinition { document, .. } => document.len_bytes(),
        }
    }

    /// See [`Aggregate::is_kept`].
    pub(super) fn is_kept(&self) -> bool {
        match self {
            Self::Run { command, .. } => Run::is_kept(command),
            Self::Asset { command, .. } => Asset::is_kept(command),
            Self::Workflow { command, .. } => Workflow::is_kept(command),
            Self::Action { command, .. } => Action::is_kept(command),
            Self::Memo { command, .. } => Memo::is_kept(command),
            Self::AdoptDefinition { .. } => false,
        }
    }
}

/// Returns what has to be there before a command can be decided, and is not.
pub(super) fn missing(shard: &Shard, Submission { id, command, .. }: &Submission) -> Option<Missing> {
    match command {
        Command::Run { run, command } => Run::missing(shard, *id, run, command),
        Command::Asset { key, command } => Asset::missing(shard, *id, key, command),
        Command::Workflow { key, command } => Workflow::missing(shard, *id, key, command),
        Command::Action { key, command } => Action::missing(shard, *id, key, command),
        Command::Memo { memo, command } => Memo::missing(shard, *id, memo, command),
        Command::AdoptDefinition { key, version, document } => definition::missing(shard, key, *version, document),
    }
}

/// Decides a command that waits for nothing and was not granted before.
pub(super) fn decide(
    shard: &mut Shard,
    asked: Asked,
    command: Command,
    from: Option<Origin>,
    now: Timestamp,
    hands: &mut Hands,
) -> Result<Decided, Rejection> {
    match command {
        Command::Run { run, command: RunCommand::StartRun(wish) } => {
            start::start(shard, asked, run, wish, from, now, hands)
        }
        Command::Run { run, command } => shelf::decide::<Run>(shard, asked, run, command, now, hands),
        Command::Asset { key, command } => shelf::decide::<Asset>(shard, asked, key, command, now, hands),
        Command::Workflow { key, command } => shelf::decide::<Workflow>(shard, asked, key, command, now, hands),
        Command::Action { key, command } => shelf::decide::<Action>(shard, asked, key, command, now, hands),
        Command::Memo { memo, command } => shelf::decide::<Memo>(shard, asked, memo, command, now, hands),
        Command::AdoptDefinition { key, version, document } => {
            definition::adopt(shard, asked, key, version, &document, now)
        }
    }
}

/// Answers a command that was granted before.
pub(super) fn answer_again(shard: &Shard, command: &Command, told: Told) -> Decided {
    let Shelves { runs, assets, workflows, actions, memos } = &shard.shelves;
    match command {
        Command::Run { run, command } => Run::answer_again(runs.get(run), command, told),
        Command::Asset { key, command } => Asset::answer_again(assets.get(key), command, told),
        Command::Workflow { key, command } => Workflow::answer_again(workflows.get(key), command, told),
        Command::Action { key, command } => Action::answer_again(actions.get(key), command, told),
        Command::Memo { memo, command } => Memo::answer_again(memos.get(memo), command, told),
        Command::AdoptDefinition { .. } => Decided::default(),
    }
}

impl Event {
    /// Returns what it is about, in a sentence.
    pub(super) fn called(&self) -> &'static str {
        match self {
            Self::Run(_) => Run::CALLED,
            Self::Asset(_) => Asset::CALLED,
            Self::Workflow(_) => Workflow::CALLED,
            Self::Action(_) => Action::CALLED,
            Self::Memo(_) => Memo::CALLED,
            Self::DefinitionAdopted { .. } => "a definition",
            Self::Released(_) => "a release that is not the first",
        }
    }
}

impl AggregateId {
    /// Returns what its timers are fired with. `None`: it has none.
    pub(super) fn timer(&self) -> Option<Command> {
        match self {
            Self::Run(run) => Run::TIMERS.map(|timers| Command::Run { run: *run, command: (timers.fire)() }),
            Self::Asset(key) => {
                Asset::TIMERS.map(|timers| Command::Asset { key: key.clone(), command: (timers.fire)() })
            }
            Self::Workflow(key) => {
                Workflow::TIMERS.map(|timers| Command::Workflow { key: key.clone(), command: (timers.fire)() })
            }
            Self::Action(key) => {
                Action::TIMERS.map(|timers| Command::Action { key: key.clone(), command: (timers.fire)() })
            }
            Self::Memo(memo) => Memo::TIMERS.map(|timers| Command::Memo { memo: *memo, command: (timers.fire)() }),
            Self::Definition(..) => None,
        }
    }

    /// Checks that an operator can end it.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn can_end(&self) -> Result<(), String> {
        let called = match self {
            Self::Run(_) | Self::Definition(..) => return Ok(()),
            Self::Asset(_) => Asset::CALLED,
            Self::Workflow(_) => Workflow::CALLED,
            Self::Action(_) => Action::CALLED,
            Self::Memo(_) => Memo::CALLED,
        };
        Err(format!("{called} does not end: refold it, or skip events"))
    }
}

/// Folds a commit that is not a release, and has events.
pub(super) fn fold(shard: &mut Shard, commit: &Commit, reactions: Option<&mut Reactions>) -> Result<(), String> {
    match &commit.aggregate {
        AggregateId::Run(id) => shelf::fold::<Run>(shard, id, commit, reactions),
        AggregateId::Asset(key) => shelf::fold::<Asset>(shard, key, commit, reactions),
        AggregateId::Workflow(key) => shelf::fold::<Workflow>(shard, key, commit, reactions),
        AggregateId::Action(key) => shelf::fold::<Action>(shard, key, commit, reactions),
        AggregateId::Memo(memo) => shelf::fold::<Memo>(shard, memo, commit, reactions),
        AggregateId::Definition(key, version) => definition::fold(shard, key, *version, commit),
    }
}

/// Lets one go that is set aside; returns the revision of the last event folded.
pub(super) fn forget(shard: &mut Shard, aggregate: &AggregateId) -> Revision {
    match aggregate {
        AggregateId::Run(id) => shelf::forget::<Run>(shard, id),
        AggregateId::Asset(key) => shelf::forget::<Asset>(shard, key),
        AggregateId::Workflow(key) => shelf::forget::<Workflow>(shard, key),
        AggregateId::Action(key) => shelf::forget::<Action>(shard, key),
        AggregateId::Memo(memo) => shelf::forget::<Memo>(shard, memo),
        AggregateId::Definition(key, version) => definition::forget(shard, key, *version),
    }
}

/// Passes over one event.
pub(super) fn stand_at(shard: &mut Shard, aggregate: &AggregateId, revision: Revision) {
    match aggregate {
        AggregateId::Run(id) => shelf::stand_at::<Run>(shard, id, revision),
        AggregateId::Asset(key) => shelf::stand_at::<Asset>(shard, key, revision),
        AggregateId::Workflow(key) => shelf::stand_at::<Workflow>(shard, key, revision),
        AggregateId::Action(key) => shelf::stand_at::<Action>(shard, key, revision),
        AggregateId::Memo(memo) => shelf::stand_at::<Memo>(shard, memo, revision),
        AggregateId::Definition(..) => {}
    }
}

/// Keeps of what may not have been delivered what is still wanted at a release, and adds what the aggregate waits for.
pub(super) fn owed(shard: &Shard, aggregate: &AggregateId, owed: &mut Vec<Effect>) {
    let Shelves { runs, assets, workflows, actions, memos } = &shard.shelves;
    match aggregate {
        AggregateId::Run(id) => Run::owed(runs.get(id), owed),
        AggregateId::Asset(key) => Asset::owed(assets.get(key), owed),
        AggregateId::Workflow(key) => Workflow::owed(workflows.get(key), owed),
        AggregateId::Action(key) => Action::owed(actions.get(key), owed),
        AggregateId::Memo(memo) => Memo::owed(memos.get(memo), owed),
        AggregateId::Definition(..) => {}
    }
}
