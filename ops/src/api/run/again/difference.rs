//! In what two runs differ: node by node, each where it stood.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use headwater_core::definition::Definition;
use headwater_core::run::{NodeStatus, Outcome, Outcomes, RunEvent, RunStatus};
use headwater_core::shard::Event;
use headwater_core::{
    AssetId, DefinitionVersion, Json, NodeAddress, PartitionKey, Revision, RunId, Timestamp, WorkspaceId,
};
use serde::Serialize;

use super::not_found;
use crate::api::reading::Reading;
use crate::api::run::history::{Refold, fold};
use crate::api::{Api, Problem};
use crate::codes::Code;

/// How many differences are told.
const TOLD_MAX: usize = 500;
/// How many bytes a value has that is told.
const VALUE_BYTES_MAX: usize = 4096;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Differences {
    run_id: RunId,
    /// The run that it is compared with.
    with: RunId,
    status: RunStatus,
    status_with: RunStatus,
    is_input_same: bool,
    /// Nodes, each where it stood, that came to the same in both.
    same: usize,
    different: usize,
    /// The first of those that did not.
    nodes: Vec<Different>,
    left_out: usize,
    /// What the nodes took that there are in both, together.
    took_ms: u64,
    took_with_ms: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Different {
    /// Where it stood: `each[3]/check`.
    path: String,
    /// Absent: it did not happen there.
    here: Option<CameTo>,
    with: Option<CameTo>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CameTo {
    node: NodeAddress,
    status: NodeStatus,
    reused: bool,
    took_ms: u64,
    /// Of one that failed: its code.
    error: Option<String>,
    /// Null where it has made nothing, or more than is told.
    output: Option<Json>,
    output_bytes: usize,
    assets: Vec<Made>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    asset_id: AssetId,
    partition_key: Option<PartitionKey>,
    /// Null where it is larger than is told.
    payload: Option<Json>,
}

/// `GET /runs/{runId}/diff`
pub async fn compare(State(api): State<Arc<Api>>, mut reading: Reading) -> Result<Response, Problem> {
    let run: RunId = reading.name("runId")?;
    let with = reading.parameter::<RunId>("with")?;
    let workspace = reading.begin(&api).await?;
    let found = api.reads.run(&workspace, run).await?.ok_or_else(|| not_found(run))?;
    let before = found.summary.continued_from.as_ref().map(Json::to_value);
    let before = before.and_then(|from| from["run"].as_str()?.parse::<RunId>().ok());
    let with = with.or(before).ok_or_else(|| {
        let detail = format!("the run {run} goes on from no other: name one to compare it with");
        Problem::new(Code::InvalidParameter, detail).with("parameter", "with")
    })?;
    api.reads.run_end(&workspace, with).await?.ok_or_else(|| not_found(with))?;
    let _turn = api.turns.look().await;
    let (here, there) = (look(&api, &workspace, run).await?, look(&api, &workspace, with).await?);
    Ok(api.read(differences((run, here), (with, there))?))
}

async fn look(api: &Api, workspace: &WorkspaceId, run: RunId) -> Result<Outcomes, Problem> {
    let look = fold(api, workspace, run, Look { run, outcomes: None }).await?;
    look.outcomes.ok_or_else(|| not_found(run))
}

fn differences((run_id, here): (RunId, Outcomes), (with, there): (RunId, Outcomes)) -> Result<Differences, Problem> {
    let stands =
        |of: &Outcomes, id| of.run().map(|(status, input)| (status, input.clone())).ok_or_else(|| not_found(id));
    let ((status, input), (status_with, input_with)) = (stands(&here, run_id)?, stands(&there, with)?);
    let (mut here, mut there) = (here.into_found(), there.into_found());
    let (mut took_ms, mut took_with_ms) = (0, 0);
    let (mut same, mut nodes, mut left_out) = (0, Vec::new(), 0);
    let paths: BTreeSet<String> = here.keys().chain(there.keys()).cloned().collect();
    for path in paths {
        let pair = (here.remove(&path), there.remove(&path));
        if let (Some(own), Some(other)) = &pair {
            took_ms += milliseconds(own);
            took_with_ms += milliseconds(other);
            if is_same(own, other) {
                same += 1;
                continue;
            }
        }
        match nodes.len() {
            TOLD_MAX.. => left_out += 1,
            _ => nodes.push(Different { path, here: pair.0.map(came_to), with: pair.1.map(came_to) }),
        }
    }
    Ok(Differences {
        run_id,
        with,
        status,
        status_with,
        is_input_same: input.to_value() == input_with.to_value(),
        same,
        different: nodes.len() + left_out,
        nodes,
        left_out,
        took_ms,
        took_with_ms,
    })
}

/// Whether both came to the same, whoever made it and however long it took.
fn is_same(own: &Outcome, other: &Outcome) -> bool {
    let value = |of: &Outcome| of.output.as_ref().map(Json::to_value);
    // What is reused was published by whoever had made it.
    let is_made_there = own.is_reused || other.is_reused;
    own.status == other.status
        && own.failure == other.failure
        && (own.output == other.output || value(own) == value(other))
        && (is_made_there || payloads(own) == payloads(other))
}

fn payloads(of: &Outcome) -> BTreeMap<(AssetId, Option<PartitionKey>), serde_json::Value> {
    let payload = |made: &headwater_core::run::ProducedAsset| {
        ((made.asset_id.clone(), made.partition_key.clone()), made.payload.to_value())
    };
    of.assets.iter().map(payload).collect()
}

fn milliseconds(of: &Outcome) -> u64 {
    u64::try_from(of.took.as_millis()).unwrap_or(u64::MAX)
}

fn came_to(outcome: Outcome) -> CameTo {
    let small = |value: Json| (value.len_bytes() <= VALUE_BYTES_MAX).then_some(value);
    let took_ms = milliseconds(&outcome);
    let Outcome { node, status, output, failure, assets, is_reused, took: _ } = outcome;
    let made = |made: headwater_core::run::ProducedAsset| Made {
        asset_id: made.asset_id,
        partition_key: made.partition_key,
        payload: small(made.payload),
    };
    CameTo {
        node,
        status,
        reused: is_reused,
        took_ms,
        error: failure,
        output_bytes: output.as_ref().map_or(0, Json::len_bytes),
        output: output.and_then(small),
        assets: assets.into_iter().map(made).collect(),
    }
}

struct Look {
    run: RunId,
    outcomes: Option<Outcomes>,
}

impl Refold for Look {
    fn begin(&mut self, definition: Arc<Definition>) {
        self.outcomes = Some(Outcomes::of(self.run, definition));
    }

    fn bring(&mut self, version: DefinitionVersion, definition: Arc<Definition>) {
        if let Some(outcomes) = &mut self.outcomes {
            outcomes.bring(version, definition);
        }
    }

    fn reaches(&self, _: Revision) -> bool {
        true
    }

    fn is_done(&self) -> bool {
        false
    }

    fn needs_value(&self, _: &Event) -> bool {
        true
    }

    fn learn(&mut self, _: Revision, event: &RunEvent, time: Timestamp) -> Result<(), String> {
        let outcomes = self.outcomes.as_mut().ok_or_else(|| "its start is not known".to_owned())?;
        outcomes.learn(event, time)
    }
}
