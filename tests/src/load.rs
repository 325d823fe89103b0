//! What is asked of a cluster, and what it acknowledged.

use std::time::Duration;

use headwater_core::definition::compile;
use headwater_core::protocol::Granted;
use headwater_core::run::{RunCommand, RunStatus, StartRun, Trigger};
use headwater_core::shard::{AggregateId, Command, ShardMap, Submission, WorkflowKey};
use headwater_core::workflow::{ApplyWorkflow, WorkflowCommand};
use headwater_core::{CommandId, DefinitionVersion, Json, RunId};
use headwater_streams::Broker;
use headwater_streams::clock::now;
use headwater_streams::definitions::Definitions;
use headwater_workers::shard_client::ShardClient;
use serde_json::{Value, json};

use crate::{PATIENCE, until};

/// A way to the shards, and a workflow to start.
#[derive(Clone)]
pub struct Load {
    pub broker: Broker,
    pub map: ShardMap,
    pub client: ShardClient,
    pub key: WorkflowKey,
    pub version: DefinitionVersion,
}

/// A chain of jobs of the test worker, each taking `millis`.
pub fn chain(slug: &str, length: usize, millis: u64) -> Value {
    let step = |at: usize| {
        let mut step = json!({"id": format!("s{at}"), "jobSlug": "echo", "parameters": {"millis": millis, "at": at},
            "retry": {"maxAttempts": 10, "backoff": "fixed", "delay": "100ms"}});
        if at > 0 {
            step["dependsOn"] = json!([format!("s{}", at - 1)]);
        }
        step
    };
    json!({"slug": slug, "steps": (0..length).map(step).collect::<Vec<_>>()})
}

fn fresh_id() -> CommandId {
    CommandId::from_uuid(uuid::Uuid::new_v4())
}

/// The wall clock.
impl Load {
    /// Applies a definition and waits until every process can find it.
    ///
    /// # Panics
    /// When it cannot be applied.
    pub async fn apply(access: (Broker, ShardMap, ShardClient), document: &Value) -> Self {
        let (broker, map, client) = access;
        let (definition, _) = compile(document).expect("the test's own definition");
        let key = WorkflowKey { workspace: "default".parse().expect("a name"), workflow: definition.slug.clone() };
        let apply = ApplyWorkflow { document: definition.source, content_hash: definition.content_hash };
        let command = Command::Workflow { key: key.clone(), command: WorkflowCommand::ApplyWorkflow(apply) };
        let shard = map.shard_of(&AggregateId::Workflow(key.clone())).expect("workflows have a shard");
        let granted = client.submit(shard, Submission::new(fresh_id(), command), PATIENCE).await.expect("applied").1;
        let Some(Granted::Workflow { version, .. }) = granted else { panic!("applied without a version") };
        let definitions = Definitions::new(&broker);
        until("the definition is published", || async { definitions.get(&key, version).await.ok().flatten() }).await;
        Self { broker, map, client, key, version }
    }

    /// Makes the command that starts a run under a new id.
    pub fn start_command(&self, input: &Value) -> (RunId, Submission) {
        let randomness = uuid::Uuid::new_v4().as_u128();
        let run = RunId::new(self.map.spread(randomness as u64), now(), randomness);
        let start = StartRun {
            workspace: self.key.workspace.clone(),
            workflow: self.key.workflow.clone(),
            version: self.version,
            input: Json::of(input),
            trigger: Trigger::Manual {},
            keyed: false,
            wishes: None,
        };
        (run, Submission::new(fresh_id(), Command::Run { run, command: RunCommand::StartRun(start) }))
    }

    /// Starts a run; returns its id once the start is acknowledged.
    pub async fn start(&self, input: &Value) -> Option<RunId> {
        let (run, submission) = self.start_command(input);
        self.client.submit(run.shard(), submission, PATIENCE).await.ok().map(|_| run)
    }

    /// Starts `count` runs, `at_once` under way; returns those that were acknowledged.
    pub async fn start_many(&self, count: usize, at_once: usize) -> Vec<RunId> {
        let mut acknowledged = Vec::new();
        let mut left = count;
        while left > 0 {
            let batch: Vec<_> = (0..left.min(at_once))
                .map(|at| {
                    let load = self.clone();
                    tokio::spawn(async move { load.start(&json!({"n": at})).await })
                })
                .collect();
            left -= batch.len();
            for start in batch {
                acknowledged.extend(start.await.expect("no panic"));
            }
        }
        acknowledged
    }

    /// Waits until every run has ended, and returns how.
    ///
    /// # Panics
    /// When one has not ended in time.
    pub async fn ends(&self, runs: &[RunId]) -> Vec<(RunId, RunStatus)> {
        self.client.await_runs(runs, Duration::from_secs(120)).await.expect("every acknowledged run ends")
    }
}
