//! What must hold whatever happens, checked as bundles land, as answers leave, and at rest. It keeps books of its own
//! beside the fold, so that a rule and its fold cannot be wrong together.

mod answers;
mod branches;
mod calls;
mod chains;
mod compare;
mod compensations;
mod hands;
mod memos;
mod people;
mod signals;

use std::collections::{BTreeMap, BTreeSet};

use headwater_core::asset::{AssetEvent, Waiter};
use headwater_core::definition::OnMiss;
use headwater_core::protocol::Task;
use headwater_core::run::{RunEvent, RunStatus};
use headwater_core::shard::{AggregateId, AssetKey, AssetNotice, Bundle, Command, Event, Shard, ShardMap, Submission};
use headwater_core::{
    Attempt, CommandId, Epoch, LeaseToken, NodeAddress, PartitionKey, Revision, RunId, Sequence, ShardId, Timestamp,
    Version,
};

use branches::BranchBooks;
use calls::CallBooks;
use chains::ChainBooks;
use compensations::CompensationBooks;
use hands::HandBooks;
use memos::MemoBooks;
use people::PeopleBooks;
use signals::SignalBooks;

use crate::cluster::{BOUNDS, Wish};
use crate::timeline::word;

type Place = (AssetKey, Option<PartitionKey>);

pub struct Audit {
    shards: Vec<Books>,
    runs: BTreeMap<RunId, RunBooks>,
    leases: BTreeMap<LeaseToken, (RunId, NodeAddress, Attempt)>,
    /// The attempts that some worker's handler began.
    begun: BTreeSet<(RunId, NodeAddress, Attempt)>,
    versions: BTreeMap<Place, Version>,
    recorded: BTreeSet<(AssetKey, RunId, NodeAddress)>,
    producers: BTreeMap<Place, RunId>,
    waiters: BTreeMap<(AssetKey, Waiter), OnMiss>,
    feed: BTreeMap<Place, Version>,
    acknowledged: BTreeSet<RunId>,
    pub calls: CallBooks,
    pub chains: ChainBooks,
    pub signals: SignalBooks,
    pub hands: HandBooks,
    pub people: PeopleBooks,
    pub memos: MemoBooks,
    pub bundles: u64,
}

struct Books {
    folded: Shard,
    clock: Timestamp,
    /// Which seat writes each epoch.
    epochs: BTreeMap<Epoch, usize>,
    commands: BTreeSet<CommandId>,
    revisions: BTreeMap<AggregateId, Revision>,
}

#[derive(Default)]
struct RunBooks {
    /// How it will end.
    ending: Option<RunStatus>,
    end: Option<RunStatus>,
    nodes: BTreeMap<NodeAddress, NodeBooks>,
    branches: BranchBooks,
    compensations: CompensationBooks,
}

#[derive(Default)]
struct NodeBooks {
    attempts: u32,
    is_current: bool,
    is_granted: bool,
    is_over: bool,
    successes: u32,
}

impl Audit {
    pub fn new(map: &ShardMap) -> Self {
        let books = |number| Books {
            folded: Shard::bounded(ShardId::new(number).unwrap(), map.clone(), BOUNDS),
            clock: Timestamp::default(),
            epochs: BTreeMap::new(),
            commands: BTreeSet::new(),
            revisions: BTreeMap::new(),
        };
        Self {
            shards: (0..map.shards).map(books).collect(),
            runs: BTreeMap::new(),
            leases: BTreeMap::new(),
            begun: BTreeSet::new(),
            versions: BTreeMap::new(),
            recorded: BTreeSet::new(),
            producers: BTreeMap::new(),
            waiters: BTreeMap::new(),
            feed: BTreeMap::new(),
            acknowledged: BTreeSet::new(),
            calls: CallBooks::default(),
            chains: ChainBooks::default(),
            signals: SignalBooks::default(),
            hands: HandBooks::default(),
            people: PeopleBooks::default(),
            memos: MemoBooks::default(),
            bundles: 0,
        }
    }

    /// A bundle is in the journal now. Returns what it says.
    pub fn landed(&mut self, seat: usize, sequence: Sequence, bundle: &Bundle) -> Vec<String> {
        self.bundles += 1;
        let books = &mut self.shards[usize::from(bundle.shard.number())];
        if let Some((newest, _)) = books.epochs.last_key_value() {
            assert!(*newest <= bundle.epoch, "epoch {} lands at {sequence} after {newest}: fencing", bundle.epoch);
        }
        let writer = *books.epochs.entry(bundle.epoch).or_insert(seat);
        assert_eq!(writer, seat, "two seats write epoch {} of shard {}", bundle.epoch, bundle.shard);
        let corrupt = books.folded.fold(bundle, None);
        assert_eq!(corrupt, [], "no history breaks the rules");
        let mut words = Vec::new();
        for commit in &bundle.commits {
            let books = &mut self.shards[usize::from(bundle.shard.number())];
            assert!(commit.time >= books.clock, "SHD-2: {} after {}", commit.time, books.clock);
            books.clock = commit.time;
            let is_new = books.commands.insert(commit.command);
            assert!(is_new, "SHD-3: {} is decided twice: {} {:?}", commit.command, commit.aggregate, commit.events);
            let last = books.revisions.entry(commit.aggregate.clone()).or_insert(Revision::new(0));
            assert_eq!(commit.revision, last.next(), "SHD-1: {}", commit.aggregate);
            *last = last.after(commit.events.len() as u64);
            let said: Vec<_> = commit.events.iter().map(word).collect();
            words.push(format!("{} {}", commit.aggregate, said.join(" ")));
            for event in &commit.events {
                match (&commit.aggregate, event) {
                    (AggregateId::Run(run), Event::Run(event)) => self.run_learns(*run, event),
                    (AggregateId::Asset(key), Event::Asset(event)) => self.asset_learns(key, event),
                    (AggregateId::Memo(_), Event::Memo(event)) => self.memos.learn(event),
                    _ => {}
                }
            }
        }
        words
    }

    fn run_learns(&mut self, id: RunId, event: &RunEvent) {
        if let RunEvent::RunStarted { .. } = event {
            assert!(self.runs.insert(id, RunBooks::default()).is_none(), "RUN-1: {id} starts twice");
        }
        self.chains.learn(id, event);
        self.calls.learn(id, event, &self.chains);
        self.signals.learn(id, event, &mut self.chains);
        self.hands.learn(id, event);
        self.people.learn(id, event);
        self.memos.run_learns(id, event);
        let run = self.runs.get_mut(&id).expect("a run starts before anything else");
        assert_eq!(run.end, None, "RUN-1: {id} has ended and learns {event:?}");
        // What undoes, and what runs whatever the end, is not withdrawn with the rest.
        let of_finally = |node: &NodeAddress| {
            let node = node.node();
            ["finally", "sweep", "compensation"].contains(&node.as_str()) || node.undoes().is_some()
        };
        if let Some(status) = run.ending.filter(|_| !event.node().is_some_and(of_finally)) {
            let said = match event {
                RunEvent::NodeCancelled { .. }
                | RunEvent::ChildWithdrawn { .. }
                | RunEvent::MemoLeft { .. }
                | RunEvent::BranchEnded { .. } => Some(status),
                // What runs whatever the end may wait for it.
                RunEvent::SignalReceived { .. } => Some(status),
                // It goes on as another, which it calls when all else is done.
                RunEvent::AssetRecorded { .. }
                | RunEvent::SignalInherited { .. }
                | RunEvent::SuccessorCalled { .. }
                | RunEvent::SuccessorWithdrawn { .. }
                | RunEvent::RunCancelled { .. }
                    if self.chains.has_chosen(id) =>
                {
                    Some(status)
                }
                RunEvent::RunTerminated { .. } | RunEvent::CallbackAnswered { .. } => Some(status),
                RunEvent::RunFailed { .. } if status == RunStatus::Succeeded => Some(status),
                RunEvent::BranchClosing { .. } => Some(status),
                RunEvent::RunFailed { .. } => Some(RunStatus::Failed),
                RunEvent::RunSucceeded { .. } => Some(RunStatus::Succeeded),
                RunEvent::RunCancelled { .. } => Some(RunStatus::Cancelled),
                _ => None,
            };
            assert_eq!(said, Some(status), "{id} ends and learns {event:?}");
        }
        if let RunEvent::RunEnding { ending } = event {
            run.ending = Some(ending.status());
        }
        run.branches.learn(event);
        run.compensations.learn(event);
        if let Some(name) = event.node() {
            let node = run.nodes.entry(name.clone()).or_default();
            assert!(!node.is_over, "{name} of {id} is over and learns {event:?}");
            match event {
                RunEvent::AttemptScheduled { attempt, lease, handed_to, .. } => {
                    node.is_granted = handed_to.is_some();
                    assert!(!node.is_current, "RUN-3: a second attempt of {name} of {id} is current");
                    assert_eq!(attempt.get(), node.attempts + 1, "attempts of {name} of {id} are contiguous");
                    (node.attempts, node.is_current) = (attempt.get(), true);
                    let before = self.leases.insert(*lease, (id, name.clone(), *attempt));
                    assert_eq!(before, None, "RUN-3: every attempt has a lease of its own");
                }
                RunEvent::AttemptGranted { attempt, lease, .. } => {
                    assert!(node.is_current && attempt.get() == node.attempts, "RUN-3: {name} of {id}");
                    assert!(!node.is_granted, "an attempt is granted once: {attempt} of {name} of {id}");
                    node.is_granted = true;
                    let before = self.leases.insert(*lease, (id, name.clone(), *attempt));
                    assert_eq!(before, None, "RUN-3: every grant has a lease of its own");
                }
                RunEvent::AttemptReturned { attempt, .. } => {
                    assert!(node.is_granted && attempt.get() == node.attempts, "RUN-3: {name} of {id}");
                    let begun = self.begun.contains(&(id, name.clone(), *attempt));
                    assert!(!begun, "what is given back has not begun: {attempt} of {name} of {id}");
                    node.is_current = false;
                }
                RunEvent::AttemptStarted { attempt, .. } => {
                    assert!(node.is_current && attempt.get() == node.attempts, "RUN-3: {name} of {id}");
                }
                // The tries of a group are nobody's attempts.
                RunEvent::AttemptFailed { .. } if ["publish", "finally"].contains(&name.node().as_str()) => {}
                RunEvent::AttemptFailed { attempt, .. } => {
                    assert!(node.is_current && attempt.get() == node.attempts, "RUN-3: {name} of {id}");
                    node.is_current = false;
                }
                RunEvent::NodeSucceeded { .. } => {
                    node.successes += 1;
                    assert_eq!(node.successes, 1, "{name} of {id} succeeds once");
                    (node.is_current, node.is_over) = (false, true);
                }
                RunEvent::NodeFailed { .. } | RunEvent::NodeSkipped { .. } | RunEvent::NodeCancelled { .. } => {
                    (node.is_current, node.is_over) = (false, true);
                }
                RunEvent::ChildCalled { attempt, .. } | RunEvent::ChildWithdrawn { attempt, .. } => {
                    assert!(node.is_current && attempt.get() == node.attempts, "RUN-3: {name} of {id}");
                }
                RunEvent::NodeAwaitedAssets { .. }
                | RunEvent::MemoAsked { .. }
                | RunEvent::MemoCleared { .. }
                | RunEvent::SignalTaken { .. }
                | RunEvent::NodeOverruled { .. }
                | RunEvent::TimerChanged { .. }
                | RunEvent::CompensationKept { .. }
                | RunEvent::SignalAnswered { .. }
                | RunEvent::PersonAsked { .. }
                | RunEvent::PersonAnswered { .. }
                | RunEvent::PersonReassigned { .. }
                | RunEvent::PersonReminded { .. }
                | RunEvent::MemoLeft { .. }
                | RunEvent::ItemsListed { .. }
                | RunEvent::BranchesOpened { .. }
                | RunEvent::JoinClosing { .. }
                | RunEvent::AssetResolved { .. }
                | RunEvent::SuccessorChosen { .. }
                | RunEvent::CallbackAwaited { .. }
                | RunEvent::CallbackHeard { .. }
                | RunEvent::RetryArmed { .. }
                | RunEvent::RunDescribed { .. }
                | RunEvent::ResultsRecalled { .. }
                | RunEvent::AssetRecorded { .. } => {}
                RunEvent::RunStarted { .. }
                | RunEvent::SignalReceived { .. }
                | RunEvent::SignalInherited { .. }
                | RunEvent::CallbackAnswered { .. }
                | RunEvent::SuccessorCalled { .. }
                | RunEvent::SuccessorWithdrawn { .. }
                | RunEvent::RunPaused { .. }
                | RunEvent::RunResumed { .. }
                | RunEvent::RunTerminated { .. }
                | RunEvent::RunStopping { .. }
                | RunEvent::RunMigrated { .. }
                | RunEvent::BranchClosing { .. }
                | RunEvent::BranchEnded { .. }
                | RunEvent::RunEnding { .. }
                | RunEvent::RunSucceeded { .. }
                | RunEvent::RunFailed { .. }
                | RunEvent::RunCancelled { .. } => unreachable!("they name no node"),
            }
            // The record of what a node produced comes after its end.
            node.is_over &= node.successes == 0;
        }
        run.end = match event {
            RunEvent::RunSucceeded { .. } => Some(RunStatus::Succeeded),
            RunEvent::RunFailed { .. } => Some(RunStatus::Failed),
            RunEvent::RunCancelled { .. } => Some(RunStatus::Cancelled),
            _ => None,
        };
    }

    fn asset_learns(&mut self, key: &AssetKey, event: &AssetEvent) {
        match event {
            AssetEvent::AssetMaterialized { version, record } => {
                let place = (key.clone(), record.partition.clone());
                let expected = self.versions.get(&place).map_or(Version::FIRST, |last| last.next());
                assert_eq!(*version, expected, "AST-1: {key:?}");
                self.versions.insert(place, *version);
                let new = self.recorded.insert((key.clone(), record.run, record.node.clone()));
                assert!(new, "{key:?} is recorded twice for {} {}", record.run, record.node);
            }
            AssetEvent::MaterializationRequested { partition, run, .. } => {
                let before = self.producers.insert((key.clone(), partition.clone()), *run);
                assert_eq!(before, None, "AST-2: {key:?} starts {run}");
            }
            AssetEvent::MaterializationEnded { partition, run }
            | AssetEvent::MaterializationFailed { partition, run, .. } => {
                let before = self.producers.remove(&(key.clone(), partition.clone()));
                assert_eq!(before, Some(*run), "AST-2: the producer of {key:?}");
            }
            AssetEvent::WaiterAdded { waiter, on_miss, .. } => {
                let before = self.waiters.insert((key.clone(), waiter.clone()), *on_miss);
                assert_eq!(before, None, "{waiter:?} waits twice for {key:?}");
            }
            AssetEvent::ConsumptionGranted { waiter, .. }
            | AssetEvent::ConsumptionRefused { waiter, .. }
            | AssetEvent::WaiterForgotten { waiter } => {
                self.waiters.remove(&(key.clone(), waiter.clone()));
            }
            AssetEvent::AssetDeclared(_) => {}
        }
    }

    /// A handler begins: no other has begun this attempt before.
    pub fn begins(&mut self, task: &Task) {
        self.task(task);
        let first = self.begun.insert((task.run, task.node.clone(), task.attempt));
        assert!(first, "an attempt begins once: {} of {} of {}", task.attempt, task.node, task.run);
    }

    /// A task leaves: its attempt must be in the journal.
    pub fn task(&self, task: &Task) {
        let known = self.leases.get(&task.lease);
        assert_eq!(known, Some(&(task.run, task.node.clone(), task.attempt)), "a task leaves after its bundle");
    }

    pub fn published(&mut self, notice: &AssetNotice) {
        let key = AssetKey { workspace: notice.workspace.clone(), asset: notice.asset.clone() };
        let place = (key, notice.partition.clone());
        assert!(
            self.versions.get(&place).is_some_and(|last| notice.version <= *last),
            "a notice leaves after its bundle"
        );
        let last = self.feed.get(&place).copied();
        if last.is_none_or(|last| last < notice.version) {
            assert_eq!(notice.version, last.map_or(Version::FIRST, Version::next), "the feed of {place:?} has no gap");
            self.feed.insert(place, notice.version);
        }
    }

    pub fn acknowledged(&mut self, run: RunId) {
        self.acknowledged.insert(run);
    }

    pub fn is_acknowledged(&self, run: RunId) -> bool {
        self.acknowledged.contains(&run)
    }

    pub fn end_of(&self, run: RunId) -> Option<RunStatus> {
        self.runs.get(&run)?.end
    }

    /// Whether the run that is asked for has ended.
    pub fn has_ended(&self, wish: &Wish) -> bool {
        let run = match wish {
            Wish::Await(run) => *run,
            Wish::Submit(Submission { command: Command::Run { run, .. }, .. }) => *run,
            Wish::Submit(_) | Wish::Work { .. } => return false,
        };
        self.end_of(run).is_some()
    }

    /// Whether somebody waits for whatever comes.
    pub fn is_waited_for(&self) -> bool {
        self.waiters.values().any(|on_miss| *on_miss == OnMiss::Wait)
    }

    /// Nothing is left to happen.
    pub fn rest(&self) {
        for (id, run) in &self.runs {
            assert!(run.end.is_some(), "{id} never ends");
        }
        for run in &self.acknowledged {
            assert!(self.runs.contains_key(run), "{run} was acknowledged and is lost");
        }
        self.calls.rest();
        self.chains.rest();
        self.memos.rest();
        assert_eq!(self.waiters, BTreeMap::new(), "every waiter is served, refused or forgotten");
        assert_eq!(self.producers, BTreeMap::new(), "every producer is known to have ended");
        assert_eq!(self.feed, self.versions, "every version is on the feed");
    }

    /// How much was undone.
    pub fn undone(&self) -> u32 {
        self.runs.values().map(|run| run.compensations.undone).sum()
    }

    pub fn runs(&self) -> usize {
        self.runs.len()
    }
}
