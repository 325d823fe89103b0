//! The rows that only ever come into being, by `COPY`.

use deadpool_postgres::Transaction;
use futures_util::SinkExt as _;
use headwater_core::shard::AggregateId;

use super::WriteError;
use super::copy::CopyRows;
use crate::columns::{bigint, integer, smallint};
use crate::rows::{CommitRow, DeadRow, DefinitionRow, InputRow, RunChange, TraceChange, VersionRow};

async fn copy(transaction: &Transaction<'_>, into: &str, rows: CopyRows) -> Result<(), WriteError> {
    if rows.rows() == 0 {
        return Ok(());
    }
    let sql = format!("COPY {into} FROM STDIN (FORMAT binary)");
    let statement = transaction.prepare_cached(&sql).await?;
    let sink = transaction.copy_in(&statement).await?;
    futures_util::pin_mut!(sink);
    sink.send(rows.finish()).await?;
    sink.finish().await?;
    Ok(())
}

pub(super) async fn commits(transaction: &Transaction<'_>, commits: &[CommitRow]) -> Result<(), WriteError> {
    let mut rows = CopyRows::with_capacity(commits.iter().map(|commit| commit.events.len() + 160).sum());
    for commit in commits {
        let row = rows.row(10);
        match &commit.aggregate {
            AggregateId::Run(run) => row.uuid(run.as_uuid()),
            AggregateId::Asset(_) | AggregateId::Workflow(_) | AggregateId::Definition(..) => row.null(),
        };
        row.bigint(bigint(commit.sequence.get()))
            .bigint(bigint(commit.revision.get()))
            .time(commit.time)
            .integer(commit.ordinal)
            .integer(commit.event_count)
            .smallint(smallint(commit.shard))
            .uuid(commit.command.as_uuid());
        match &commit.aggregate {
            AggregateId::Run(_) => row.null(),
            other @ (AggregateId::Asset(_) | AggregateId::Workflow(_) | AggregateId::Definition(..)) => {
                row.text(&other.to_string())
            }
        };
        row.bytes(&commit.events);
    }
    let into = "commits (run_id, sequence, revision, time, ordinal, event_count, shard, command_id, aggregate, events)";
    copy(transaction, into, rows).await
}

pub(super) async fn runs(transaction: &Transaction<'_>, changes: &[RunChange]) -> Result<(), WriteError> {
    let mut rows = CopyRows::with_capacity(changes.len() * 512);
    for change in changes {
        let Some(start) = &change.start else { continue };
        let end = change.end.as_ref();
        rows.row(12)
            .uuid(change.run.as_uuid())
            .time(start.started_at)
            .time_or_null(end.map(|end| end.completed_at))
            .integer(integer(start.version.get()))
            .smallint(smallint(start.shard))
            .text(start.workspace.as_str())
            .text(start.workflow.as_str())
            .text(end.map_or("running", |end| end.status.as_str()))
            .text(start.trigger.as_str())
            .text(start.input.as_str())
            .text_or_null(end.and_then(|end| end.output.as_ref()).map(|json| json.as_str()))
            .text_or_null(end.and_then(|end| end.error.as_ref()).map(|json| json.as_str()));
    }
    let into = "workflow_runs (run_id, started_at, completed_at, version, shard, workspace, workflow, status, trigger,
                input, output, error)";
    copy(transaction, into, rows).await
}

pub(super) async fn traces<'a>(
    transaction: &Transaction<'_>,
    changes: impl Iterator<Item = &'a TraceChange>,
) -> Result<(), WriteError> {
    let mut rows = CopyRows::with_capacity(64 * 1024);
    for change in changes {
        let failure = change.failure.as_ref();
        rows.row(13)
            .uuid(change.run.as_uuid())
            .time_or_null(change.scheduled_at)
            .time_or_null(change.started_at)
            .time_or_null(change.finished_at)
            .time_or_null(change.wakes_at)
            .integer(integer(change.attempt))
            .text(&change.node.text())
            .text(change.status.as_str())
            .text_or_null(change.worker.as_ref().map(|worker| worker.as_str()))
            .text_or_null(change.input.as_ref().map(|json| json.as_str()))
            .text_or_null(change.output.as_ref().map(|json| json.as_str()))
            .text_or_null(failure.map(|failure| printable(&failure.code)).as_deref())
            .text_or_null(failure.map(|failure| printable(&failure.message)).as_deref());
    }
    let into = "traces (run_id, scheduled_at, started_at, finished_at, wakes_at, attempt, node_id, status, worker,
                input, output, error_code, error_message)";
    copy(transaction, into, rows).await
}

/// The database's text has no U+0000; a handler's message may. The event itself keeps it.
pub(super) fn printable(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text.into() }
}

pub(super) async fn versions(transaction: &Transaction<'_>, versions: &[VersionRow]) -> Result<(), WriteError> {
    let mut rows = CopyRows::with_capacity(versions.iter().map(|version| version.payload.len_bytes() + 400).sum());
    for version in versions {
        rows.row(18)
            .text(version.workspace.as_str())
            .text(&version.key)
            .text(&version.partition)
            .bigint(bigint(version.version.get()))
            .bigint(bigint(version.revision.get()))
            .bigint(bigint(version.sequence.get()))
            .time(version.produced_at)
            .time(version.recorded_at)
            .time(version.run_started_at)
            .uuid(version.run.as_uuid())
            .integer(integer(version.attempt.get()))
            .integer(integer(version.definition.get()))
            .smallint(smallint(version.shard))
            .text(version.workflow.as_str())
            .text(&version.node.text())
            .text(version.payload.as_str())
            .text_or_null(version.schema.as_ref().map(|json| json.as_str()))
            .text_or_null(version.freshness.as_ref().map(|json| json.as_str()));
    }
    let into = "asset_versions (workspace, asset_key, partition, version, revision, sequence, produced_at, recorded_at,
                run_started_at, run_id, attempt, definition_version, shard, workflow, node_id, payload, schema,
                freshness)";
    copy(transaction, into, rows).await
}

pub(super) async fn inputs(transaction: &Transaction<'_>, inputs: &[InputRow]) -> Result<(), WriteError> {
    let mut rows = CopyRows::with_capacity(inputs.len() * 200);
    for input in inputs {
        rows.row(9)
            .text(input.workspace.as_str())
            .text(&input.key)
            .text(&input.partition)
            .bigint(bigint(input.version.get()))
            .integer(input.ordinal)
            .text(&input.input_key)
            .text(input.input_asset.as_str())
            .text(&input.input_partition)
            .bigint(bigint(input.input_version.get()));
    }
    let into = "asset_inputs (workspace, asset_key, partition, version, ordinal, input_asset_key, input_asset_id,
                input_partition, input_version)";
    copy(transaction, into, rows).await
}

pub(super) async fn definitions(
    transaction: &Transaction<'_>,
    definitions: &[DefinitionRow],
) -> Result<(), WriteError> {
    if definitions.is_empty() {
        return Ok(());
    }
    let [mut versions, mut nodes, mut transitions, mut edges] =
        std::array::from_fn(|_| CopyRows::with_capacity(16 * 1024));
    for of in definitions {
        let (workspace, slug, version) = (of.workspace.as_str(), of.slug.as_str(), integer(of.version.get()));
        let graph = &of.graph;
        versions.row(8).text(workspace).text(slug).integer(version).text(&of.content_hash);
        versions.text_or_null(graph.name.as_deref()).text_or_null(graph.description.as_deref());
        versions.time(of.applied_at).jsonb(of.document.as_str());
        for (ordinal, node) in (0..).zip(&graph.nodes) {
            nodes.row(9).text(workspace).text(slug).integer(version).text(&node.id).integer(ordinal);
            nodes.text_or_null(node.name.as_deref()).text(&node.kind).text_or_null(node.job.as_deref());
            nodes.text(&node.document);
        }
        for (ordinal, edge) in (0..).zip(&graph.transitions) {
            transitions.row(9).text(workspace).text(slug).integer(version).integer(ordinal).text(&edge.from);
            transitions.text(&edge.to).text(&edge.outcome).integer(edge.priority);
            transitions.text_or_null(edge.condition.as_deref());
        }
        for (ordinal, edge) in (0..).zip(&graph.edges) {
            edges.row(15).text(workspace).text(slug).integer(version).text(&edge.asset.to_ascii_lowercase());
            edges.text(edge.role.as_str()).text(&edge.node).integer(ordinal).text(&edge.asset);
            edges.text_or_null(edge.node_name.as_deref()).text(&edge.kind).boolean(edge.is_primary);
            for json in [&edge.schema, &edge.freshness, &edge.partitioning, &edge.auto_materialize] {
                edges.text_or_null(json.as_deref());
            }
        }
    }
    let into = "workflow_defs (workspace, slug, version, content_hash, name, description, applied_at, document)";
    copy(transaction, into, versions).await?;
    let into = "nodes (workspace, workflow, version, node_id, ordinal, name, kind, job, document)";
    copy(transaction, into, nodes).await?;
    let into = "transitions (workspace, workflow, version, ordinal, from_node, to_node, outcome, priority, condition)";
    copy(transaction, into, transitions).await?;
    let into =
        "asset_edges (workspace, workflow, version, asset_key, role, node_id, ordinal, asset_id, node_name, kind,
                is_primary, schema, freshness, partitioning, auto_materialize)";
    copy(transaction, into, edges).await
}

pub(super) async fn dead(transaction: &Transaction<'_>, dead: &[DeadRow]) -> Result<(), WriteError> {
    let mut rows = CopyRows::with_capacity(dead.len() * 1024);
    for event in dead {
        rows.row(5)
            .smallint(smallint(event.shard))
            .bigint(bigint(event.sequence.get()))
            .integer(event.ordinal)
            .text(&printable(&event.reason))
            .bytes(&event.raw);
    }
    copy(transaction, "dead_events (shard, sequence, ordinal, reason, raw)", rows).await
}
