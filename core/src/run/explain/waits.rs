//! What a run waits for, and since when.

use rustc_hash::FxHashMap;
use serde::Serialize;

use super::listed::{ENTRY_BYTES, Room};
use super::notes::Notes;
use super::{At, Listed, Why};
use crate::definition::{OnMiss, Require};
use crate::run::agenda::Todo;
use crate::run::attempt::{Awaited, CurrentAttempt};
use crate::run::state::{Around, Due, Phase, Place, Run, Timer};
use crate::run::{AssetNeed, AwaitedSignal};
use crate::{Actor, ActorName, SignalKey, WorkerId};
use crate::{AssetId, Attempt, BranchId, DefinitionVersion, NodeAddress, PartitionKey, QueueName, RunId, Timestamp};

/// About how many bytes the name of somebody has.
const NAME_BYTES: usize = 64;
/// How many assets of one node are told.
const ASSETS_MAX: usize = 20;

/// Something that a run waits for.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Wait {
    pub node: NodeAddress,
    pub since: At,
    #[serde(flatten)]
    pub waits_for: WaitFor,
    /// When it gives up, or is given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times_out_at: Option<At>,
    /// It, or the run, is paused: it does not go on before it is resumed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
}

/// What it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "for", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum WaitFor {
    /// A worker of the queue with room.
    Worker { queue: QueueName, attempt: Attempt },
    /// What the worker says that has the attempt.
    Report {
        queue: QueueName,
        attempt: Attempt,
        worker: WorkerId,
        /// It was seen to run.
        started: bool,
    },
    /// A time.
    Time { until: At },
    /// The end of a run that it calls.
    Run {
        run: RunId,
        /// Absent while it is not known which version that is of.
        #[serde(skip_serializing_if = "Option::is_none")]
        version: Option<DefinitionVersion>,
    },
    /// The run that it goes on as: of which version that is, or that it begins.
    Successor { run: RunId },
    /// The first of these signals.
    Signal { signals: Vec<AwaitedSignal>, attempt: Attempt },
    /// Somebody outside, who ends the attempt: `GET /runs/{runId}/callbacks` has the token by which he does.
    Callback {
        attempt: Attempt,
        /// Under which it can be ended too.
        #[serde(skip_serializing_if = "Option::is_none")]
        key: Option<SignalKey>,
        /// When he gave a sign of life last.
        #[serde(skip_serializing_if = "Option::is_none")]
        heard_at: Option<At>,
    },
    /// What people answer.
    Person {
        title: String,
        /// None: anybody may answer.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        assignees: Vec<ActorName>,
        /// How many are to answer.
        quorum: u32,
        /// Who has.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        answered: Vec<Actor>,
        /// Three quarters of the time are over.
        reminded: bool,
        attempt: Attempt,
    },
    /// Versions of assets.
    Assets { assets: Listed<WantedAsset> },
    /// Word whether its result was made before, or the result that another node makes of the same key.
    Result {},
    /// Its next attempt.
    Retry {
        until: At,
        attempt: Attempt,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<Why>,
    },
    /// The items of a `forEach`.
    Items { items: u32, opened: u32, open: u32, succeeded: u32, failed: u32 },
    /// A turn of a loop, counted from 1.
    Turn { turn: u32 },
    /// A try of a group, counted from 1.
    Try { attempt: u32 },
    /// What undoes what has succeeded.
    Compensation { undone: u32, failed: u32, left: u32 },
    /// A place among the nodes that may be under way at once.
    Place { parallelism: u32 },
    /// Nothing: it goes on by itself.
    Nothing {},
    /// That what it produced is recorded.
    Recording {
        asset_id: AssetId,
        #[serde(skip_serializing_if = "Option::is_none")]
        partition_key: Option<PartitionKey>,
    },
}

/// An asset that a node needs and has not got.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WantedAsset {
    pub asset_id: AssetId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition_key: Option<PartitionKey>,
    pub require: Require,
    /// Absent: it is made where some workflow produces it, else the node fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_miss: Option<OnMiss>,
}

/// Tells what a branch waits for, and those within it; of the run itself all.
pub(super) fn of(run: &Run, notes: &Notes, branch: BranchId, mut room: Room) -> Listed<Wait> {
    let mut listed = Listed::default();
    let is_within = |place: Place| {
        branch == BranchId::ROOT || run.branches.around(place.branch).any(|(around, _)| around == branch)
    };
    let mut add = |place: Place, wait: &dyn Fn() -> (Timestamp, WaitFor), times_out_at: Option<Timestamp>| {
        listed.count(&mut room, len_bytes, |_| {
            let (since, waits_for) = wait();
            let (node, paused) = (run.address(place), run.is_halted(place));
            Wait { node, since: At(since), waits_for, times_out_at: times_out_at.map(At), paused }
        });
    };
    let timeouts = timeouts(run);
    for (place, state) in run.places().filter(|(place, state)| state.phase.is_active() && is_within(*place)) {
        let since = notes.of(place).map_or_else(Timestamp::default, |note| note.since);
        let people_until = || state.phase.current()?.asking()?.due_at();
        let until = timeouts.get(&place).copied().or_else(people_until);
        add(place, &|| (since, at(run, notes, place, &state.phase)), until);
    }
    if let Some(next) = run.waiting.chain().next()
        && let (Some(since), Some(place)) = (next.called_at, run.place_of(&next.node))
        && is_within(place)
    {
        add(place, &|| (since, WaitFor::Successor { run: next.run }), None);
    }
    for todo in run.agenda.iter() {
        let Todo::Begin(place) = *todo else { continue };
        if run.branches.get(place.branch).is_none() || !is_within(place) || run.node(place).phase != Phase::Pending {
            continue;
        }
        let waits_for =
            || match run.definition().parallelism.filter(|_| run.next_todo().is_none() && !run.is_halted(place)) {
                Some(parallelism) => WaitFor::Place { parallelism },
                None => WaitFor::Nothing {},
            };
        add(place, &|| (ready_since(run, notes, place), waits_for()), None);
    }
    for (place, (asset, partition)) in run.assets.unrecorded().filter(|(place, _)| is_within(*place)) {
        let recording = || WaitFor::Recording { asset_id: asset.clone(), partition_key: partition.clone() };
        add(place, &|| (notes.produced_at(place), recording()), None);
    }
    listed
}

/// When nodes run out of time.
fn timeouts(run: &Run) -> FxHashMap<Place, Timestamp> {
    let of_node = |(at, timer): &(Timestamp, Timer)| match timer {
        Timer::Node(Due::Timeout, place) => Some((*place, *at)),
        Timer::Node(Due::Retry | Due::Time, _) | Timer::RunTimeout | Timer::Recall | Timer::Stop => None,
    };
    run.timers.iter().filter_map(of_node).collect()
}

/// What an active node waits for.
fn at(run: &Run, notes: &Notes, place: Place, phase: &Phase) -> WaitFor {
    match phase {
        Phase::AwaitingAssets { missing } if missing.is_empty() => WaitFor::Nothing {},
        Phase::AwaitingAssets { missing } => WaitFor::Assets { assets: wanted(missing) },
        Phase::AwaitingMemo(awaited) if awaited.cleared => WaitFor::Nothing {},
        Phase::AwaitingMemo(_) => WaitFor::Result {},
        Phase::Current(current) => of_attempt(current, &run.definition().node(place.node).queue),
        Phase::Retrying { due_at, .. } => WaitFor::Retry {
            until: At(*due_at),
            attempt: Attempt::new(run.node(place).attempts.saturating_add(1)),
            error: notes.of(place).and_then(|note| note.failure.clone()),
        },
        Phase::Around(around) => match &**around {
            Around::Each(each) => WaitFor::Items {
                items: u32::try_from(each.items.len()).unwrap_or(u32::MAX),
                opened: each.opened,
                open: u32::try_from(each.open.len()).unwrap_or(u32::MAX),
                succeeded: each.succeeded,
                failed: each.failed,
            },
            Around::Loop(turns) => WaitFor::Turn { turn: turns.before.saturating_add(1) },
            Around::Undo(undoing) => WaitFor::Compensation {
                undone: undoing.undone,
                failed: undoing.failed,
                left: u32::try_from(run.branches.kept().len() + usize::from(undoing.open.is_some()))
                    .unwrap_or(u32::MAX),
            },
            Around::Group(_) => WaitFor::Try { attempt: run.node(place).attempts },
        },
        Phase::Pending | Phase::Succeeded | Phase::Failed | Phase::Skipped | Phase::Cancelled => WaitFor::Nothing {},
    }
}

fn of_attempt(current: &CurrentAttempt, queue: &QueueName) -> WaitFor {
    let (queue, attempt) = (queue.clone(), current.attempt);
    match &current.awaits {
        Awaited::Room => WaitFor::Worker { queue, attempt },
        Awaited::Worker { held_by, session: _, started } => {
            WaitFor::Report { queue, attempt, worker: held_by.clone(), started: *started }
        }
        Awaited::Time(at) => WaitFor::Time { until: At(*at) },
        Awaited::Child { run, version } => WaitFor::Run { run: *run, version: *version },
        Awaited::Callback(calling) if calling.listening.taken.is_some() => WaitFor::Nothing {},
        Awaited::Callback(calling) => WaitFor::Callback {
            attempt,
            key: calling.listening.signals.first().and_then(|signal| signal.key.clone()),
            heard_at: calling.heard_at.map(At),
        },
        Awaited::Successor { run, version: _ } => WaitFor::Successor { run: *run },
        Awaited::Person(asking) => match asking.task.as_ref().filter(|_| !asking.is_told()) {
            None => WaitFor::Nothing {},
            Some(task) => WaitFor::Person {
                title: task.title.clone(),
                assignees: task.assignees.clone(),
                quorum: task.quorum,
                answered: asking.answers.iter().map(|answer| answer.by.clone()).collect(),
                reminded: asking.reminded,
                attempt,
            },
        },
        Awaited::Signal(listening) if listening.taken.is_some() => WaitFor::Nothing {},
        Awaited::Signal(listening) => WaitFor::Signal { signals: listening.signals.clone(), attempt },
    }
}

fn wanted(missing: &[AssetNeed]) -> Listed<WantedAsset> {
    let told = missing.iter().take(ASSETS_MAX).map(|need| WantedAsset {
        asset_id: need.asset.clone(),
        partition_key: need.partition.clone(),
        require: need.require,
        on_miss: need.on_miss,
    });
    Listed { total: u32::try_from(missing.len()).unwrap_or(u32::MAX), first: told.collect() }
}

/// When the turn of a node came that has not begun: as the last node before it ended, or its branch was opened.
fn ready_since(run: &Run, notes: &Notes, place: Place) -> Timestamp {
    let definition = run.definition();
    let before = definition.node(place.node).incoming.iter().map(|way| place.beside(definition.transition(*way).from));
    let ended = before.filter_map(|place| Some(notes.of(place)?.since));
    ended.max().unwrap_or_else(|| notes.opened_at(place.branch))
}

fn len_bytes(wait: &Wait) -> usize {
    ENTRY_BYTES
        + match &wait.waits_for {
            WaitFor::Assets { assets } => assets.first.len() * 2 * ENTRY_BYTES,
            WaitFor::Retry { error, .. } => error.as_ref().map_or(0, Why::len_bytes),
            WaitFor::Signal { signals, .. } => signals.iter().map(AwaitedSignal::len_bytes).sum(),
            WaitFor::Person { title, assignees, answered, .. } => {
                title.len() + NAME_BYTES * (assignees.len() + answered.len())
            }
            WaitFor::Worker { .. }
            | WaitFor::Report { .. }
            | WaitFor::Time { .. }
            | WaitFor::Run { .. }
            | WaitFor::Successor { .. }
            | WaitFor::Callback { .. }
            | WaitFor::Result {}
            | WaitFor::Items { .. }
            | WaitFor::Turn { .. }
            | WaitFor::Try { .. }
            | WaitFor::Compensation { .. }
            | WaitFor::Place { .. }
            | WaitFor::Nothing {}
            | WaitFor::Recording { .. } => 0,
        }
}
