//! A shard worker that has lost its shard and does not know: nothing it says may come from what it knew before.
//!
//! The newer owner is the test: it appends behind the shard worker's back, as if that had been stopped meanwhile.

use std::sync::Arc;
use std::time::Duration;

use headwater_core::credit::{Credit, Hands, Term};
use headwater_core::definition::compile;
use headwater_core::protocol::{Held, PROTOCOL, Task, WorkAnswer, WorkFrame, WorkReply, WorkRequest};
use headwater_core::run::{Report, ReportOutcome, RunCommand, RunRejection, RunStatus, StartRun, Trigger, task_of};
use headwater_core::shard::{Command, Owner, Rejection, Shard, ShardMap, Submission, WorkflowKey};
use headwater_core::{
    BundleId, CommandId, DefinitionVersion, Epoch, Json, RunId, Sequence, SessionId, ShardId, WorkspaceId,
};
use headwater_streams::clock::now;
use headwater_streams::journal::{AppendError, Journal};
use headwater_streams::journals::{JetStreamJournals, Journals as _, Stretch};
use headwater_streams::ownership::OwnershipConfig;
use headwater_streams::server::{NatsServer, ServerBinary, ServerConfig};
use headwater_streams::subject::work_subject;
use headwater_streams::topology::Topology;
use headwater_streams::{Broker, requests};
use headwater_workers::shard_client::{ClientError, ShardClient};
use headwater_workers::shard_worker::{ShardCounters, ShardSettings, ShardSupervisor};
use serde_json::json;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(30);

struct House {
    broker: Broker,
    client: ShardClient,
    stop: CancellationToken,
    supervising: tokio::task::JoinHandle<()>,
    _server: NatsServer,
    _directory: tempfile::TempDir,
}

fn shard() -> ShardId {
    ShardId::new(0).unwrap()
}

fn map() -> ShardMap {
    ShardMap::even(1).unwrap()
}

fn fresh_id() -> CommandId {
    CommandId::from_uuid(uuid::Uuid::new_v4())
}

impl House {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = ServerConfig::new(directory.path().join("nats"));
        let server = NatsServer::start(&ServerBinary::find().unwrap(), config).unwrap();
        let broker = Broker::connect(&server.engine()).await.unwrap();
        Topology::new(1, 1).unwrap().apply(&broker).await.unwrap();
        let client = ShardClient::new(&broker, 1);
        let supervisor = ShardSupervisor {
            broker: broker.clone(),
            map: map(),
            ownership: OwnershipConfig::new("engine".parse().unwrap(), 1),
            client: client.clone(),
            settings: ShardSettings::default(),
            counters: Arc::new(ShardCounters::default()),
        };
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let supervising = tokio::spawn(async move { supervisor.run(stopped).await.unwrap() });
        Self { broker, client, stop, supervising, _server: server, _directory: directory }
    }

    async fn epoch(&self) -> Epoch {
        self.client.epoch_of(shard(), PATIENCE).await.expect("the shard is driven")
    }

    /// Starts a run as the owner of a new epoch of which the shard worker hears nothing. Returns the epoch and the
    /// run's first task.
    async fn start_behind_its_back(&self) -> (Epoch, Task) {
        self.epoch().await;
        let journal = Journal::open(&self.broker, shard()).await.unwrap();
        loop {
            let mut owner = fold(&self.broker).await;
            let step = json!({"id": "s", "jobSlug": "echo"});
            let (definition, _) = compile(&json!({"slug": "one", "steps": [step]})).unwrap();
            let key = WorkflowKey { workspace: "default".parse().unwrap(), workflow: "one".parse().unwrap() };
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
            let adopt = Command::AdoptDefinition { key, version, document: definition.source };
            let run = RunId::new(shard(), now(), uuid::Uuid::new_v4().as_u128());
            let start = Command::Run { run, command: RunCommand::StartRun(start) };
            for command in [adopt, start] {
                owner.submit((), Submission::new(fresh_id(), command), now(), &mut Hands::default());
            }
            let bundle = owner.next_append(BundleId::from_uuid(uuid::Uuid::new_v4())).expect("a start to append");
            match journal.append(bundle.bytes.into(), bundle.expected).await {
                Ok(_) => {
                    let run = owner.shard().run(run).expect("it was started");
                    return (owner.epoch(), task_of(run, &"s".parse().unwrap()).expect("it has an attempt"));
                }
                // The shard worker appended something meanwhile: behind that, then.
                Err(AppendError::Conflict { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Asks as a worker until the shard answers.
    async fn ask(&self, request: WorkRequest) -> WorkReply {
        let frame = WorkFrame {
            protocol: PROTOCOL,
            worker: "w-1".parse().unwrap(),
            session: SessionId::from_bits(1),
            queues: Vec::new(),
            credit: Credit { term: Term::unmet(Epoch::FIRST), word: 1, lent: 0 },
            requests: vec![request],
        };
        let frame = bytes::Bytes::from(serde_json::to_vec(&frame).unwrap());
        let workspace: WorkspaceId = "default".parse().unwrap();
        let subject = work_subject(&workspace, shard());
        let answered = async {
            loop {
                let wait = Duration::from_secs(2);
                if let Ok(bytes) = requests::request(&self.broker, &subject, frame.clone(), wait).await {
                    let mut answer: WorkAnswer = serde_json::from_slice(&bytes).unwrap();
                    match answer.replies.remove(0) {
                        WorkReply::Refused { rejection: Rejection::NotOwner } => {}
                        reply => return reply,
                    }
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, answered).await.expect("the shard answers")
    }

    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.supervising).await.expect("it stops in time").unwrap();
    }
}

async fn fold(broker: &Broker) -> Owner<()> {
    let mut owner = Owner::new(Shard::new(shard(), map()));
    let journals = JetStreamJournals::new(broker);
    let end = journals.head(shard()).await.unwrap();
    let mut stretch = Stretch::new(&journals, shard(), Sequence::FIRST, end);
    loop {
        let entries = stretch.next().await.unwrap();
        if entries.is_empty() {
            return owner;
        }
        for entry in entries {
            let bundle = serde_json::from_slice(&entry.bytes).unwrap();
            assert_eq!(owner.fold(entry.sequence, &bundle, &entry.bytes), Ok(Vec::new()));
        }
    }
}

fn cancel(run: RunId) -> Submission {
    let command =
        Command::Run { run, command: RunCommand::CancelRun { workspace: None, reason: "enough".into(), grace_ms: 0 } };
    Submission::new(fresh_id(), command)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_does_not_know_of_a_run_refuses_no_command_for_it() {
    let house = House::new().await;
    let (_, task) = house.start_behind_its_back().await;
    let cancelled = house.client.submit(shard(), cancel(task.run), PATIENCE).await;
    assert!(cancelled.is_ok(), "{cancelled:?}");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_does_not_know_of_a_run_does_not_say_that_there_is_none() {
    let house = House::new().await;
    let (epoch, task) = house.start_behind_its_back().await;
    let ends_later = async {
        // Asked for the first time, the owner learns that it is none any more, and takes the shard over again.
        while house.epoch().await <= epoch {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        house.client.submit(shard(), cancel(task.run), PATIENCE).await
    };
    let told = tokio::try_join!(house.client.await_run(task.run, PATIENCE), ends_later);
    assert_eq!(told.expect("nothing is refused").0.0, RunStatus::Cancelled);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_does_not_know_of_an_attempt_takes_it_from_nobody() {
    let house = House::new().await;
    let (_, Task { run, node, attempt, lease, .. }) = house.start_behind_its_back().await;
    let held = Held { run, node, attempt, lease, progress: None };
    let reply = house.ask(WorkRequest::Heartbeat { held: vec![held] }).await;
    assert_eq!(reply, WorkReply::Alive { cancelled: Vec::new(), unclear: Vec::new(), stopping: Vec::new() });

    let (_, Task { run, node, attempt, lease, .. }) = house.start_behind_its_back().await;
    let outcome = ReportOutcome::Succeeded { output: Json::of(&1), assets: Vec::new() };
    let report = Report { node, attempt, lease, worker: "w-1".parse().unwrap(), started_at: now(), outcome };
    let reply = house.ask(WorkRequest::Report { id: fresh_id(), run, report }).await;
    assert_eq!(reply, WorkReply::Accepted { next: Vec::new() });
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_worker_stops_though_answers_are_held() {
    let house = House::new().await;
    house.epoch().await;
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let client = house.client.clone();
        asking.spawn(async move {
            loop {
                let unknown = RunId::new(shard(), now(), uuid::Uuid::new_v4().as_u128());
                match client.await_run(unknown, PATIENCE).await {
                    Err(ClientError::Refused(Rejection::Run(RunRejection::RunNotFound))) => {}
                    // Whoever was held when the shard worker stopped asks until the patience is over.
                    other => return other.map(drop),
                }
            }
        });
    }
    let journal = Journal::open(&house.broker, shard()).await.unwrap();
    let answered = async {
        while journal.info().await.unwrap().last < Sequence::new(20) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, answered).await.expect("every refusal is behind an append");
    house.stop().await;
    assert!(asking.try_join_next().is_none(), "nobody was told anything else");
}
