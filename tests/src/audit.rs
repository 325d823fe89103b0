//! Whether the journal kept every promise: read whole, folded anew, and counted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use headwater_core::run::{Reply, RunEvent};
use headwater_core::shard::{AggregateId, Bundle, Event, Owner, Shard, ShardMap};
use headwater_core::{CommandId, NodeAddress, RunId, Sequence, ShardId};
use headwater_streams::Broker;
use headwater_streams::journals::{JetStreamJournals, Journals as _, Stretch, StretchError};

/// What the journals of a cluster say about its runs.
#[derive(Debug, Default)]
pub struct Audit {
    /// How often each node of each run succeeded.
    pub successes: BTreeMap<(RunId, NodeAddress), usize>,
    /// How often each run started.
    pub starts: BTreeMap<RunId, usize>,
    /// The terminal events of each run.
    pub ends: BTreeMap<RunId, Vec<&'static str>>,
    /// Failures of attempts by code.
    pub failures: BTreeMap<String, usize>,
    /// How often each signal was received.
    pub received: BTreeMap<(RunId, CommandId), usize>,
    /// How often each was taken.
    pub taken: BTreeMap<(RunId, CommandId), usize>,
    /// What updates were answered with.
    pub answered: BTreeMap<(RunId, CommandId), Vec<Reply>>,
    pub epochs: BTreeSet<(ShardId, u64)>,
    pub commits: usize,
}

/// Reads and folds every journal.
///
/// # Panics
/// When a journal has a hole, breaks its hash chain, or holds history that breaks the rules.
pub async fn audit(broker: &Broker, map: &ShardMap) -> Audit {
    let mut audit = Audit::default();
    let journals = JetStreamJournals::new(broker);
    for number in 0..map.shards {
        let shard = ShardId::new(number).expect("below the count");
        let mut tries = 0;
        let end = loop {
            match journals.head(shard).await {
                Ok(end) => break end,
                Err(error) => pause(&mut tries, &error).await,
            }
        };
        let mut owner: Owner<()> = Owner::new(Shard::new(shard, map.clone()));
        let mut stretch = Stretch::new(&journals, shard, Sequence::FIRST, end);
        loop {
            let entries = match stretch.next().await {
                Ok(entries) => entries,
                Err(StretchError::Exchange(error)) => {
                    pause(&mut tries, &error).await;
                    stretch = Stretch::new(&journals, shard, owner.last().next(), end);
                    continue;
                }
                Err(gone @ StretchError::Gone { .. }) => panic!("{gone}"),
            };
            if entries.is_empty() {
                break;
            }
            for entry in entries {
                let bundle: Bundle = serde_json::from_slice(&entry.bytes).expect("a bundle");
                let corrupt = owner.fold(entry.sequence, &bundle, &entry.bytes).expect("an unbroken chain");
                assert_eq!(corrupt, [], "history keeps the rules");
                audit.epochs.insert((shard, bundle.epoch.get()));
                audit.count(&bundle);
            }
        }
    }
    audit
}

/// Waits before something is asked again: brokers that have just lost a neighbour need a moment.
async fn pause(tries: &mut u32, error: &dyn std::error::Error) {
    *tries += 1;
    assert!(*tries < 20, "the journal cannot be read: {error}");
    tokio::time::sleep(Duration::from_millis(500)).await;
}

impl Audit {
    fn count(&mut self, bundle: &Bundle) {
        for commit in &bundle.commits {
            self.commits += 1;
            let AggregateId::Run(run) = commit.aggregate else { continue };
            for event in &commit.events {
                match event {
                    Event::Run(RunEvent::RunStarted { .. }) => *self.starts.entry(run).or_default() += 1,
                    Event::Run(RunEvent::NodeSucceeded { node, .. }) => {
                        *self.successes.entry((run, node.clone())).or_default() += 1;
                    }
                    Event::Run(RunEvent::AttemptFailed { failure, .. }) => {
                        *self.failures.entry(failure.code.clone()).or_default() += 1;
                    }
                    Event::Run(RunEvent::SignalReceived { signal, .. }) => {
                        *self.received.entry((run, *signal)).or_default() += 1;
                    }
                    Event::Run(RunEvent::SignalTaken { signal, .. }) => {
                        *self.taken.entry((run, *signal)).or_default() += 1;
                    }
                    Event::Run(RunEvent::SignalAnswered { signal, reply, .. }) => {
                        self.answered.entry((run, *signal)).or_default().push(Reply::clone(reply));
                    }
                    Event::Run(RunEvent::RunSucceeded { .. }) => self.ends.entry(run).or_default().push("succeeded"),
                    Event::Run(RunEvent::RunFailed { .. }) => self.ends.entry(run).or_default().push("failed"),
                    Event::Run(RunEvent::RunCancelled { .. }) => self.ends.entry(run).or_default().push("cancelled"),
                    Event::Run(_)
                    | Event::Asset(_)
                    | Event::Workflow(_)
                    | Event::Action(_)
                    | Event::Memo(_)
                    | Event::DefinitionAdopted { .. }
                    | Event::Released(_) => {}
                }
            }
        }
    }

    /// Holds the journal to what was acknowledged: every run there once, succeeded once, each node done once.
    ///
    /// # Panics
    /// When a promise was broken.
    pub fn hold(&self, acknowledged: &[RunId], nodes: usize) {
        for run in acknowledged {
            assert_eq!(self.starts.get(run), Some(&1), "run {run} starts once");
            assert_eq!(self.ends.get(run).map(Vec::as_slice), Some(["succeeded"].as_slice()), "run {run} ends once");
            let done = self.successes.iter().filter(|((of, _), _)| of == run).map(|(_, count)| *count);
            assert_eq!(done.collect::<Vec<_>>(), vec![1; nodes], "each node of run {run} is done once");
        }
        assert!(self.starts.values().all(|count| *count == 1), "nothing starts twice");
        assert!(self.successes.values().all(|count| *count == 1), "nothing is done twice");
    }
}
