-- Reusable actions: which version of each is current, and every version with its document. Since 0.2.
CREATE TABLE IF NOT EXISTS actions (
    workspace text NOT NULL,
    slug text NOT NULL,
    current_version integer NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (workspace, slug)
);
CREATE TABLE IF NOT EXISTS action_defs (
    workspace text NOT NULL,
    slug text NOT NULL,
    version integer NOT NULL,
    content_hash text NOT NULL,
    name text,
    description text,
    applied_at timestamptz NOT NULL,
    -- An actor, as JSON.
    applied_by text,
    document jsonb NOT NULL,
    PRIMARY KEY (workspace, slug, version)
);
-- The action that a node says it comes from, and which version of it.
ALTER TABLE nodes ADD COLUMN IF NOT EXISTS action_slug text;
ALTER TABLE nodes ADD COLUMN IF NOT EXISTS action_version integer;
CREATE INDEX IF NOT EXISTS nodes_by_action ON nodes (workspace, action_slug, workflow, version, node_id) WHERE action_slug IS NOT NULL;
-- Who had made the output of a node before, as JSON: {"run", "node"}.
ALTER TABLE traces ADD COLUMN IF NOT EXISTS reused text;
