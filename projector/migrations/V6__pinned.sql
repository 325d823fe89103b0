-- To which version a workflow is pinned from a commit on, until the next row of the same workflow; null: to none. Since 0.2.
CREATE TABLE IF NOT EXISTS workflow_pins (
    workspace text NOT NULL,
    slug text NOT NULL,
    -- Of the commit; orders the pins of a workflow.
    revision bigint NOT NULL,
    version integer,
    shard smallint NOT NULL,
    sequence bigint NOT NULL,
    pinned_at timestamptz NOT NULL,
    PRIMARY KEY (workspace, slug, revision)
);
