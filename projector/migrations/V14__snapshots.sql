-- What was seen of a run, where it stood, and after which event, as its definition's policy says: {context, tokens, afterRevision,
-- afterSequenceNumber, time}, or {tooLarge: {bytes}, …}. Since 0.2, as the table.
ALTER TABLE workflow_runs ADD COLUMN IF NOT EXISTS latest_snapshot text;

-- The definition versions that a shard has adopted and that have such a policy, since which commit.
CREATE TABLE IF NOT EXISTS snapshot_policies (
    shard smallint NOT NULL,
    version integer NOT NULL,
    sequence bigint NOT NULL,
    ordinal integer NOT NULL,
    workspace text NOT NULL,
    workflow text NOT NULL,
    -- As the journal names it.
    document text NOT NULL,
    PRIMARY KEY (shard, workspace, workflow, version)
);
