//! Recovery against a real broker: from a checkpoint, and from the whole journal wherever one cannot be used.

mod elsewhere;
mod held;
mod speed;
mod stored;
mod values;

use headwater_core::credit::Hands;
use headwater_core::definition::compile;
use headwater_core::run::{RunCommand, StartRun, Trigger};
use headwater_core::shard::{Bundle, Command, Commit, Compiler, Event, Shard, Submission, Way, WorkflowKey, digest};
use headwater_core::{BundleId, CommandId, DefinitionVersion, Incarnation, Json, Revision, RunId, Timestamp};
use headwater_streams::server::{NatsServer, ServerBinary, ServerConfig};
use headwater_streams::topology::Topology;

use super::folding::{fold_to, from_checkpoint};
use super::refusal::Unusable;
use super::*;
use crate::shard_worker::ShardCounters;
use crate::shard_worker::checkpoint::write;

struct House {
    broker: Broker,
    map: ShardMap,
    journal: Journal,
    checkpoints: Checkpoints,
    counters: ShardCounters,
    _server: NatsServer,
    _directory: tempfile::TempDir,
}

type IsWhy<'t> = &'t dyn Fn(&Unusable) -> bool;

fn shard() -> ShardId {
    ShardId::new(0).unwrap()
}

/// The moment at which all of this happens.
fn now() -> Timestamp {
    Timestamp::from_micros(1_750_000_000_000_000)
}

/// The wishes of a journal: a definition, and runs that wait for a worker.
fn wishes(runs: u128) -> Vec<Submission> {
    let key = WorkflowKey { workspace: "acme".parse().unwrap(), workflow: "one".parse().unwrap() };
    let document = serde_json::json!({"slug": "one", "steps": [{"id": "only", "jobSlug": "work"}]});
    let document = compile(&document).unwrap().0.source;
    let version = DefinitionVersion::FIRST;
    let start = StartRun {
        workspace: key.workspace.clone(),
        workflow: key.workflow.clone(),
        version,
        input: Json::empty_object(),
        trigger: Trigger::Manual {},
        keyed: false,
        wishes: None,
    };
    let mut commands = vec![Command::AdoptDefinition { key, version, document }];
    commands.extend((1..=runs).map(|number| Command::Run {
        run: RunId::new(shard(), now(), number << 20),
        command: RunCommand::StartRun(start.clone()),
    }));
    let id = |number| CommandId::from_uuid(uuid::Uuid::from_u128(number));
    (1..).zip(commands).map(|(number, command)| Submission::new(id(number), command)).collect()
}

impl House {
    async fn new() -> Self {
        let mut house = Self::without_journal().await;
        (house.journal, _) = Journal::make(&house.broker, shard()).await.unwrap();
        house
    }

    /// Everything is there but the journal, which its field names all the same.
    async fn without_journal() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = ServerConfig::new(directory.path().join("nats"));
        let server = NatsServer::start(&ServerBinary::find().unwrap(), config).unwrap();
        let broker = Broker::connect(&server.engine()).await.unwrap();
        let topology = Topology::new(1, 1).unwrap().keeping(&[(shard(), JournalState::UNSAID)]);
        topology.apply(&broker).await.unwrap();
        Self {
            map: ShardMap::even(1).unwrap(),
            journal: Journal::at(&broker, shard()),
            checkpoints: Checkpoints::open(&broker).await.unwrap(),
            counters: ShardCounters::default(),
            broker,
            _server: server,
            _directory: directory,
        }
    }

    /// Takes the shard over and appends a bundle for each wish that was not granted yet, up to `runs` runs.
    async fn append(&self, runs: u128) {
        let mut owner: Owner<()> = self.recover().await.owner;
        for wish in wishes(runs) {
            owner.submit((), wish, now(), &mut Hands::default());
            if let Some(next) = owner.next_append(BundleId::from_uuid(uuid::Uuid::new_v4())) {
                owner.appended(self.journal.append(next.bytes.into(), next.expected).await.unwrap());
            }
        }
    }

    async fn recover(&self) -> Recovered<()> {
        recover(&self.broker, shard(), &self.map).await.unwrap()
    }

    async fn end(&self) -> u64 {
        self.journal.info().await.unwrap().last.get()
    }

    /// Writes a checkpoint as the background does; returns it.
    async fn write(&self) -> String {
        write(&self.broker, shard(), &self.map, &self.counters).await.unwrap();
        String::from_utf8(self.checkpoints.latest(shard()).await.unwrap().unwrap().to_vec()).unwrap()
    }

    fn written(&self) -> u64 {
        self.counters.checkpoints.load(std::sync::atomic::Ordering::Relaxed)
    }

    async fn unusable(&self, stored: impl Into<String>) -> Unusable {
        self.checkpoints.put(shard(), stored.into().into_bytes().into()).await.unwrap();
        let info = self.journal.info().await.unwrap();
        let newest = newest_checkpoint(&self.broker, shard()).await;
        let found = Found { info, begun: Incarnation::FIRST, newest, compiler: Compiler::default() };
        let journals = JetStreamJournals::new(&self.broker);
        let unusable = from_checkpoint::<_, ()>(&journals, shard(), &self.map, found).await;
        unusable.expect_err("this checkpoint is not to be used")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_is_recovered_from_its_checkpoint_and_the_entries_behind_it() {
    let house = House::new().await;
    assert_eq!(house.recover().await.folded, Growth::default());
    house.append(3).await;
    let first = house.recover().await;
    assert_eq!((first.checkpoint, first.folded.bundles), (None, house.end().await));
    let taken_at = house.end().await;
    house.write().await;
    house.append(7).await;
    let second = house.recover().await;
    assert_eq!(second.checkpoint.map(|sequence| sequence.get()), Some(taken_at));
    assert_eq!(second.folded.bundles, house.end().await - taken_at);
    assert_eq!((second.owner.shard().active_runs(), second.owner.epoch().get()), (7, 3));
    let whole = Owner::<()>::new(Shard::new(shard(), house.map.clone()));
    let (whole, _) = fold_to(
        whole,
        &JetStreamJournals::new(&house.broker),
        &ValueStore::new(&house.broker),
        Sequence::new(house.end().await),
    )
    .await
    .unwrap();
    assert_eq!(second.owner.checkpoint(), whole.checkpoint());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_is_written_when_there_is_something_new() {
    let house = House::new().await;
    write(&house.broker, shard(), &house.map, &house.counters).await.unwrap();
    assert_eq!(house.checkpoints.latest(shard()).await.unwrap(), None, "of an empty journal there is nothing to keep");
    house.append(2).await;
    let first = house.write().await;
    assert_eq!((house.write().await, house.written()), (first.clone(), 1));
    house.append(4).await;
    assert_ne!(house.write().await, first);
    assert_eq!(house.written(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_cannot_be_used_costs_the_whole_journal_and_is_replaced() {
    let house = House::new().await;
    house.append(5).await;
    let good = house.write().await;
    let end = house.end().await;
    let is_refused = |unusable: &Unusable| matches!(unusable, Unusable::Refused(_));
    let cases: [(String, IsWhy<'_>); 4] = [
        ("gibberish".into(), &is_refused),
        (good[..good.len() / 2].into(), &is_refused),
        (good.replacen(r#""format":"#, r#""format":9"#, 1), &is_refused),
        (good.replacen(r#""shard":0"#, r#""shard":1"#, 1), &is_refused),
    ];
    for (stored, is_why) in cases {
        let unusable = house.unusable(stored).await;
        assert!(is_why(&unusable), "{unusable}");
        let recovered = house.recover().await;
        assert_eq!((recovered.checkpoint, recovered.folded.bundles), (None, end), "{unusable}");
        assert_eq!(recovered.owner.shard().active_runs(), 5, "{unusable}");
        assert_eq!(house.write().await, good, "{unusable}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_journal_begins_later_only_a_checkpoint_helps() {
    let house = House::new().await;
    house.append(5).await;
    let good = house.write().await;
    let end = house.end().await;
    house.append(6).await;
    house.journal.purge_below(Sequence::new(end)).await.unwrap();
    let recovered = house.recover().await;
    assert_eq!(recovered.checkpoint, Some(Sequence::new(end)));
    assert_eq!(recovered.owner.shard().active_runs(), 6);
    house.journal.purge_below(Sequence::new(end + 1)).await.unwrap();
    let unusable = house.unusable(good).await;
    assert!(matches!(unusable, Unusable::Purged { .. }), "{unusable}");
    let Err(refusal) = recover::<()>(&house.broker, shard(), &house.map).await else { panic!("nobody knows") };
    let first = Sequence::new(end + 1);
    let RecoverError::Held { reason, .. } = &refusal else { panic!("{refusal}") };
    assert_eq!(*reason, HoldReason::Beginning { first });
    assert!(write(&house.broker, shard(), &house.map, &house.counters).await.is_err());
}

/// A journal and its checkpoint, as a release before wrote them.
fn golden(number: u32) -> (Vec<Vec<u8>>, String) {
    let read = |what| {
        let folder = format!("{}/../core/tests/shard/golden", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(format!("{folder}/{what}.v{number}.jsonl")).unwrap()
    };
    let journal = read("journal").lines().map(|line| line.as_bytes().to_vec()).collect();
    (journal, read("checkpoint"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_of_a_release_before_is_gone_on_from_where_nothing_before_it_is_left() {
    for number in 1..=3 {
        let house = House::new().await;
        let (journal, checkpoint) = golden(number);
        for (bytes, expected) in journal.iter().zip(0..) {
            house.journal.append(bytes.clone().into(), Sequence::new(expected)).await.unwrap();
        }
        let whole = house.recover().await;
        assert_eq!(whole.checkpoint, None);
        let end = house.end().await;
        house.checkpoints.put(shard(), checkpoint.into_bytes().into()).await.unwrap();
        house.journal.purge_below(Sequence::new(end)).await.unwrap();
        let recovered = house.recover().await;
        assert_eq!((recovered.checkpoint, recovered.folded.bundles), (Some(Sequence::new(end)), 0), "pair {number}");
        let (found, wanted) = (recovered.owner.shard(), whole.owner.shard());
        assert_eq!(found.active_runs(), wanted.active_runs(), "pair {number}");
        assert_eq!(found.outstanding(), wanted.outstanding(), "pair {number}");
        // The owner goes on from there, and what it writes then is of this release.
        house.append(2).await;
        house.write().await;
        assert_eq!(house.recover().await.folded.bundles, 0, "pair {number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_of_a_later_release_is_named_where_it_is_the_only_way() {
    let house = House::new().await;
    house.append(3).await;
    let good = house.write().await;
    let end = house.end().await;
    let later = good.replacen(env!("CARGO_PKG_VERSION"), "9.1.0", 1);
    let later = later.replacen(r#""kind":"runs","format":3"#, r#""kind":"runs","format":4"#, 1);
    house.checkpoints.put(shard(), later.into_bytes().into()).await.unwrap();
    assert_eq!(house.recover().await.checkpoint, None, "the journal is whole, and is folded");
    house.journal.purge_below(Sequence::new(end)).await.unwrap();
    let Err(refusal) = recover::<()>(&house.broker, shard(), &house.map).await else { panic!("it cannot be read") };
    assert!(matches!(refusal, RecoverError::Outgrown { .. }), "{refusal}");
    let cause = std::error::Error::source(&refusal).unwrap().to_string();
    assert!(cause.contains("needs release 9.1.0"), "{cause}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_cannot_be_folded_costs_its_aggregate_and_nothing_else() {
    let house = House::new().await;
    house.append(2).await;
    let Recovered { owner, .. } = house.recover().await;
    let last = house.journal.last().await.unwrap().unwrap();
    // A workflow adopts no definition.
    let document = Json::from_text(r#"{"slug":"bad","steps":[]}"#.to_owned()).unwrap();
    let commit = Commit {
        aggregate: "workflow/acme/bad".parse().unwrap(),
        revision: Revision::FIRST,
        command: CommandId::from_uuid(uuid::Uuid::new_v4()),
        time: now(),
        by: None,
        cause: None,
        stored: None,
        events: vec![Event::DefinitionAdopted { document }],
    };
    let bundle = Bundle {
        shard: shard(),
        epoch: owner.epoch(),
        id: BundleId::from_uuid(uuid::Uuid::new_v4()),
        previous: digest(&last.bytes),
        effects_done: Sequence::ZERO,
        replaces: None,
        resends: Vec::new(),
        needs: 1,
        ahead: None,
        heard: Vec::new(),
        aside: None,
        commits: vec![commit],
    };
    house.journal.append(serde_json::to_vec(&bundle).unwrap().into(), last.sequence).await.unwrap();
    house.append(5).await;
    house.write().await;
    for recovered in [house.recover().await, house.recover().await] {
        let shard = recovered.owner.shard();
        let quarantined: Vec<_> = shard.quarantined().map(|(aggregate, _)| aggregate.to_string()).collect();
        assert_eq!((shard.active_runs(), quarantined), (5, vec!["workflow/acme/bad".to_owned()]));
        assert!(recovered.checkpoint.is_some(), "the checkpoint holds who is quarantined");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_that_needs_a_later_release_is_left_to_it_and_nothing_is_quarantined() {
    let house = House::new().await;
    house.append(2).await;
    let last = house.journal.last().await.unwrap().unwrap();
    let commits = r#"[{"something":"new"}]"#;
    let head = format!(r#""needs":99,"shard":0,"epoch":9,"previous":"{}""#, digest(&last.bytes));
    let bundle = format!("{{{head},\"commits\":{commits}}}");
    house.journal.append(bundle.into_bytes().into(), last.sequence).await.unwrap();
    let Err(refusal) = recover::<()>(&house.broker, shard(), &house.map).await else { panic!("it is not folded") };
    assert!(matches!(refusal, RecoverError::Newer { needs: 99, .. }), "{refusal}");
    assert!(refusal.is_of_a_later_release(), "another process may be of one");
    assert!(write(&house.broker, shard(), &house.map, &house.counters).await.is_err(), "nor is it checkpointed");
}
