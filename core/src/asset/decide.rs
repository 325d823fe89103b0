//! Which version a consumer gets, and whether a producer is started for it.

use super::evolve::evolve;
use super::producer::{self, Start};
use super::state::{Asset, Partition};
use super::{AssetCommand, AssetEvent, Declaration, Ground, Waiter};
use super::{ProducerEnd, RecordAsset, ResolveConsumption};
use crate::definition::{OnMiss, Require};
use crate::{PartitionKey, RunFailure, RunId, Version};

/// How many consumers may wait for one partition: the facts that serve or refuse all of them fit one commit.
const WAITERS_MAX: usize = 4_096;
/// How much of a producer's failure each of its waiters is told.
const CAUSE_BYTES_MAX: usize = 256;

struct Decision<'a, 'g> {
    asset: &'a mut Asset,
    ground: &'a Ground<'g>,
    events: Vec<AssetEvent>,
}

/// Decides a command. Nothing is ever refused: what cannot be had is a fact for the one who asked.
///
/// The asset has evolved by the returned events. No events: the command changes nothing (any more).
pub fn decide(asset: &mut Asset, command: AssetCommand, ground: &Ground<'_>) -> Vec<AssetEvent> {
    let mut decision = Decision { asset, ground, events: Vec::new() };
    match command {
        AssetCommand::DeclareAsset(declaration) => decision.declare(declaration),
        AssetCommand::RecordAsset(record) => decision.record(record),
        AssetCommand::ResolveConsumption(need) => decision.resolve(need),
        AssetCommand::EndProducer { run, end } => decision.end_producer(run, end),
        AssetCommand::ForgetWaiter { waiter } => {
            let waits = |p: &Partition| p.waiting.iter().any(|w| w.waiter == waiter);
            if decision.asset.partitions.values().any(waits) {
                decision.emit(AssetEvent::WaiterForgotten { waiter });
            }
        }
    }
    decision.events
}

impl Decision<'_, '_> {
    fn emit(&mut self, event: AssetEvent) {
        evolve(self.asset, &event);
        self.events.push(event);
    }

    fn declare(&mut self, declaration: Declaration) {
        let known = self.asset.declarations.get(&declaration.workflow);
        let empty = declaration.producers.is_empty() && declaration.consumers.is_empty();
        if known == Some(&declaration) || (known.is_none() && empty) {
            return;
        }
        self.emit(AssetEvent::AssetDeclared(declaration));
    }

    fn record(&mut self, mut record: Box<RecordAsset>) {
        // By the clock of another shard: nothing is produced after it is recorded.
        record.produced_at = record.produced_at.min(self.ground.now);
        let partition = record.partition.clone();
        if self.asset.recorded(&record).is_some() {
            return;
        }
        let version = self.asset.latest(&partition).map_or(Version::FIRST, Version::next);
        self.emit(AssetEvent::AssetMaterialized { version, record });
        self.serve_waiters(&partition);
    }

    /// Gives the newest version to every waiter it satisfies.
    fn serve_waiters(&mut self, partition: &Option<PartitionKey>) {
        let Some(state) = self.asset.partitions.get(partition) else { return };
        let served: Vec<_> = state
            .waiting
            .iter()
            .filter_map(|w| state.usable(w.require, self.ground.now).map(|kept| (w.waiter.clone(), kept.version)))
            .collect();
        for (waiter, version) in served {
            let partition = partition.clone();
            self.emit(AssetEvent::ConsumptionGranted { waiter, partition, version: Some(version) });
        }
    }

    fn resolve(&mut self, need: ResolveConsumption) {
        let known = self.asset.partitions.get(&need.partition);
        if let Some(kept) = known.and_then(|p| p.usable(need.require, self.ground.now)) {
            let version = Some(kept.version);
            return self.emit(AssetEvent::ConsumptionGranted {
                waiter: need.waiter,
                partition: need.partition,
                version,
            });
        }
        if known.is_some_and(|p| p.waiting.iter().any(|w| w.waiter == need.waiter)) {
            return;
        }
        let on_miss = need.on_miss.unwrap_or_else(|| match producer::choose(self.asset, &need.partition) {
            Some(_) => OnMiss::Materialize,
            None => OnMiss::Fail,
        });
        match (on_miss, need.require) {
            (OnMiss::Ignore, _) => self.emit(AssetEvent::ConsumptionGranted {
                waiter: need.waiter,
                partition: need.partition,
                version: None,
            }),
            (OnMiss::Wait, require) => self.wait(need.waiter, need.partition, require, on_miss),
            // Nobody can be started to make a version of a given number.
            (OnMiss::Fail, _) | (OnMiss::Materialize, Require::Version(_)) => self.refuse_missing(need),
            (OnMiss::Materialize, Require::Exists | Require::Fresh { .. }) => self.materialize(need),
        }
    }

    fn wait(&mut self, waiter: Waiter, partition: Option<PartitionKey>, require: Require, on_miss: OnMiss) {
        let waiting = self.asset.partitions.get(&partition).map_or(0, |state| state.waiting.len());
        if waiting >= WAITERS_MAX {
            let message = format!("{WAITERS_MAX} others wait for the asset {} already", self.asset.key.asset);
            let failure = RunFailure::new("asset_waiters_max", message);
            return self.emit(AssetEvent::ConsumptionRefused { waiter, failure });
        }
        self.emit(AssetEvent::WaiterAdded { waiter, partition, require, on_miss });
    }

    fn refuse_missing(&mut self, need: ResolveConsumption) {
        let wanted = match need.require {
            Require::Exists => "version".to_owned(),
            Require::Fresh { max_age_ms } => format!("version not older than {max_age_ms} ms"),
            Require::Version(version) => format!("version {version}"),
        };
        let place = need.partition.as_ref().map(|key| format!(" in partition {key:?}", key = key.as_str()));
        let made = match producer::choose(self.asset, &need.partition) {
            Some((declaration, _)) => format!("{} produces it", declaration.workflow),
            None if self.asset.partitions.is_empty() => {
                "no workflow produces it: is it spelt as its producer does?".to_owned()
            }
            None => "no workflow produces it any more".to_owned(),
        };
        let message =
            format!("the asset {} has no {wanted}{}; {made}", self.asset.key.asset, place.unwrap_or_default());
        let failure = RunFailure::new("asset_missing", message);
        self.emit(AssetEvent::ConsumptionRefused { waiter: need.waiter, failure });
    }

    fn refuse_cycle(&mut self, need: ResolveConsumption) {
        let message = format!("the run itself must end before there is a version of {}", self.asset.key.asset);
        let failure = RunFailure::new("asset_cycle", message);
        self.emit(AssetEvent::ConsumptionRefused { waiter: need.waiter, failure });
    }

    /// Starts the producer once for all waiters of the partition (`AST-2`).
    fn materialize(&mut self, need: ResolveConsumption) {
        if let Some(producer) = self.asset.producer_in_flight(&need.partition) {
            if self.asset.depends(producer, need.waiter.run) {
                return self.refuse_cycle(need);
            }
            return self.wait(need.waiter, need.partition, need.require, OnMiss::Materialize);
        }
        match producer::start(self.asset, &need, self.ground) {
            Err(failure) => self.emit(AssetEvent::ConsumptionRefused { waiter: need.waiter, failure }),
            Ok(Start { run, workflow, definition, input }) => {
                let (requested_by, partition) = (need.waiter.clone(), need.partition.clone());
                self.wait(need.waiter, need.partition, need.require, OnMiss::Materialize);
                self.emit(AssetEvent::MaterializationRequested {
                    partition,
                    run,
                    workflow,
                    definition,
                    input,
                    requested_by,
                });
            }
        }
    }

    fn end_producer(&mut self, run: RunId, end: ProducerEnd) {
        let found = self.asset.partitions.iter().find(|(_, state)| state.producer == Some(run));
        let Some((partition, state)) = found else { return };
        let partition = partition.clone();
        let waiters: Vec<_> =
            state.waiting.iter().filter(|w| w.on_miss == OnMiss::Materialize).map(|w| w.waiter.clone()).collect();
        let produced = state.kept.iter().any(|kept| kept.run == run);
        let asset = self.asset.key.asset.clone();
        let (failure, ended) = match end {
            ProducerEnd::Succeeded if produced => (
                RunFailure::new(
                    "asset_not_fresh",
                    format!("the run {run}, started to produce {asset}, produced it, but not as fresh as is required"),
                ),
                AssetEvent::MaterializationEnded { partition, run },
            ),
            ProducerEnd::Succeeded => {
                let message = format!("the run {run}, started to produce {asset}, succeeded without producing it");
                let failure = RunFailure::new("asset_not_produced", message);
                (failure.clone(), AssetEvent::MaterializationFailed { partition, run, failure })
            }
            ProducerEnd::Failed { failure } => {
                let cause = &failure.message[..failure.message.floor_char_boundary(CAUSE_BYTES_MAX)];
                let message = format!("the run {run}, started to produce {asset}, did not: {cause}");
                let failure = RunFailure::new(&failure.code, message);
                (failure.clone(), AssetEvent::MaterializationFailed { partition, run, failure })
            }
        };
        self.emit(ended);
        for waiter in waiters {
            self.emit(AssetEvent::ConsumptionRefused { waiter, failure: failure.clone() });
        }
    }
}
