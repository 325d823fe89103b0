-- The read models. Every column follows from the journal alone: no serial keys, no now(), nothing that depends on
-- how the journal was cut into batches or on how shards arrived beside each other. Names are unqualified: the
-- same file builds the live schema and the one a rebuild puts beside it.
--
-- Payloads are `text` that holds the journal's own JSON, character for character: they are only handed back, and
-- `json` would make the server parse every one of them on the way in. Cast where you query (`input::json ->> 'x'`).
-- Asset ids are unique ignoring case: `asset_key` is the lower-case identity, `asset_id` the spelling first seen.

CREATE TABLE projection_cursors (
    shard smallint PRIMARY KEY,
    sequence bigint NOT NULL,
    time timestamptz,
    bundle_hash text NOT NULL
) WITH (fillfactor = 10);

CREATE TABLE dead_events (
    shard smallint NOT NULL,
    sequence bigint NOT NULL,
    -- Of the commit in its bundle; -1: the bundle as a whole.
    ordinal integer NOT NULL,
    reason text NOT NULL,
    raw bytea NOT NULL,
    PRIMARY KEY (shard, sequence, ordinal)
);

-- One row for each commit. Exactly one of run_id and aggregate is set: sixteen bytes instead of forty for the many.
CREATE TABLE commits (
    run_id uuid,
    sequence bigint NOT NULL,
    revision bigint NOT NULL,
    time timestamptz NOT NULL,
    ordinal integer NOT NULL,
    event_count integer NOT NULL,
    shard smallint NOT NULL,
    command_id uuid NOT NULL,
    aggregate text,
    events text NOT NULL,
    CHECK ((run_id IS NULL) <> (aggregate IS NULL))
);
-- A run's events after a revision (timeline, SSE); also what refuses a revision that comes twice.
CREATE UNIQUE INDEX commits_run ON commits (run_id, revision) WHERE run_id IS NOT NULL;
-- The same for everything else. The shard is in it because every shard that uses a definition adopts it.
CREATE UNIQUE INDEX commits_aggregate ON commits (aggregate, revision, shard) WHERE aggregate IS NOT NULL;

CREATE VIEW events AS
SELECT c.shard, c.sequence, c.ordinal, coalesce(c.aggregate, 'run/' || c.run_id) AS aggregate, c.run_id,
       c.revision + e.position - 1 AS revision, c.time, c.command_id, e.event
FROM commits c, json_array_elements(c.events::json) WITH ORDINALITY AS e (event, position);

CREATE TABLE workflows (
    workspace text NOT NULL,
    slug text NOT NULL,
    current_version integer NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (workspace, slug)
);

CREATE TABLE workflow_defs (
    workspace text NOT NULL,
    slug text NOT NULL,
    version integer NOT NULL,
    content_hash text NOT NULL,
    name text,
    description text,
    applied_at timestamptz NOT NULL,
    document jsonb NOT NULL,
    PRIMARY KEY (workspace, slug, version)
);

CREATE TABLE nodes (
    workspace text NOT NULL,
    workflow text NOT NULL,
    version integer NOT NULL,
    node_id text NOT NULL,
    -- In document order.
    ordinal integer NOT NULL,
    name text,
    kind text NOT NULL,
    job text,
    document text NOT NULL,
    PRIMARY KEY (workspace, workflow, version, node_id)
);

CREATE TABLE transitions (
    workspace text NOT NULL,
    workflow text NOT NULL,
    version integer NOT NULL,
    ordinal integer NOT NULL,
    from_node text NOT NULL,
    to_node text NOT NULL,
    outcome text NOT NULL,
    priority integer NOT NULL,
    condition text,
    PRIMARY KEY (workspace, workflow, version, ordinal)
);

-- What each version of a workflow declares, from its document: whoever waits for the workflow's position sees it.
CREATE TABLE asset_edges (
    workspace text NOT NULL,
    workflow text NOT NULL,
    version integer NOT NULL,
    asset_key text NOT NULL,
    -- 'produces' or 'consumes'.
    role text NOT NULL,
    node_id text NOT NULL,
    ordinal integer NOT NULL,
    asset_id text NOT NULL,
    node_name text,
    kind text NOT NULL,
    is_primary boolean NOT NULL,
    schema text,
    freshness text,
    partitioning text,
    auto_materialize text,
    PRIMARY KEY (workspace, workflow, version, asset_key, role, node_id)
);
-- Who produces and consumes one asset, for the catalogue.
CREATE INDEX asset_edges_asset ON asset_edges (workspace, asset_key);

-- A run is inserted once and updated at most once, when it ends. Free space in the pages for that (fillfactor 50 to 90,
-- here and in traces) makes a part of the updates HOT, and was measured to save nothing: the rows a batch leaves open
-- are those it wrote last, so they stand together in a few pages, which fill up all the same.
CREATE TABLE workflow_runs (
    run_id uuid PRIMARY KEY,
    started_at timestamptz NOT NULL,
    completed_at timestamptz,
    version integer NOT NULL,
    shard smallint NOT NULL,
    workspace text NOT NULL,
    workflow text NOT NULL,
    status text NOT NULL,
    trigger text NOT NULL,
    input text NOT NULL,
    output text,
    error text
);
-- The list of a workspace's runs and of one workflow's, newest first. Status is filtered on the way: an index that
-- names it would make every ending run rewrite all its index entries.
CREATE INDEX workflow_runs_started ON workflow_runs (workspace, started_at, run_id);
CREATE INDEX workflow_runs_workflow ON workflow_runs (workspace, workflow, started_at, run_id);

-- One row for each attempt. An attempt that is still to come (its assets or its retry are awaited) has status
-- `waiting`; a node without any attempt (skipped, cancelled while pending, failed before its first) has attempt 0.
-- A node stands where its highest attempt stands.
CREATE TABLE traces (
    run_id uuid NOT NULL,
    scheduled_at timestamptz,
    started_at timestamptz,
    finished_at timestamptz,
    wakes_at timestamptz,
    attempt integer NOT NULL,
    node_id text NOT NULL,
    status text NOT NULL,
    worker text,
    input text,
    output text,
    error_code text,
    error_message text,
    PRIMARY KEY (run_id, node_id, attempt)
);

CREATE TABLE assets (
    workspace text NOT NULL,
    asset_key text NOT NULL,
    asset_id text NOT NULL,
    -- The version recorded last, of whatever partition; null while there is none.
    latest_revision bigint,
    latest_partition text,
    latest_version bigint,
    PRIMARY KEY (workspace, asset_key)
);

CREATE TABLE asset_versions (
    workspace text NOT NULL,
    asset_key text NOT NULL,
    -- '' for the unpartitioned asset.
    partition text NOT NULL,
    version bigint NOT NULL,
    -- Of the asset's event: orders the versions of all partitions.
    revision bigint NOT NULL,
    sequence bigint NOT NULL,
    produced_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    run_started_at timestamptz NOT NULL,
    run_id uuid NOT NULL,
    attempt integer NOT NULL,
    definition_version integer NOT NULL,
    shard smallint NOT NULL,
    workflow text NOT NULL,
    node_id text NOT NULL,
    payload text NOT NULL,
    schema text,
    freshness text,
    PRIMARY KEY (workspace, asset_key, partition, version)
);
-- The history of an asset over all partitions, newest first.
CREATE UNIQUE INDEX asset_versions_revision ON asset_versions (workspace, asset_key, revision);

CREATE TABLE asset_inputs (
    workspace text NOT NULL,
    asset_key text NOT NULL,
    partition text NOT NULL,
    version bigint NOT NULL,
    ordinal integer NOT NULL,
    input_asset_key text NOT NULL,
    input_asset_id text NOT NULL,
    input_partition text NOT NULL,
    input_version bigint NOT NULL,
    PRIMARY KEY (workspace, asset_key, partition, version, ordinal)
);
-- What was derived from a version: lineage downwards, recall.
CREATE INDEX asset_inputs_input ON asset_inputs (workspace, input_asset_key, input_partition, input_version);

-- Large payloads are compressed in a tenth of the time where the server was built with lz4; else as it can.
DO $$
BEGIN
    ALTER TABLE commits ALTER COLUMN events SET COMPRESSION lz4;
    ALTER TABLE traces ALTER COLUMN input SET COMPRESSION lz4, ALTER COLUMN output SET COMPRESSION lz4;
    ALTER TABLE workflow_runs ALTER COLUMN input SET COMPRESSION lz4, ALTER COLUMN output SET COMPRESSION lz4;
    ALTER TABLE asset_versions ALTER COLUMN payload SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    NULL;
END
$$;
