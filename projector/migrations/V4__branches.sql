-- Nodes happen in branches: a `forEach` opens one for each item, a loop one for each turn, a group one for each try. Branch 0 is the
-- run itself.

-- A trace is of a node where it happens.
ALTER TABLE traces ADD COLUMN branch integer NOT NULL DEFAULT 0;
ALTER TABLE traces DROP CONSTRAINT traces_pkey;
ALTER TABLE traces ADD PRIMARY KEY (run_id, node_id, branch, attempt);

-- Of a node in a `forEach` or a group: that node.
ALTER TABLE nodes ADD COLUMN body_of text;

-- One row for each branch but the run itself.
CREATE TABLE branches (
    run_id uuid NOT NULL,
    opened_at timestamptz NOT NULL,
    ended_at timestamptz,
    branch integer NOT NULL,
    parent_branch integer NOT NULL,
    -- Which item, turn or try, from 0.
    position integer NOT NULL,
    -- The `forEach`, the group, or the first node of the loop: it opened the branch, and stands in `parent_branch`.
    node_id text NOT NULL,
    -- 'item', 'turn' or 'try'.
    kind text NOT NULL,
    -- 'running', 'succeeded', 'failed' or 'cancelled'; a turn that has ended has succeeded.
    status text NOT NULL,
    -- Of a turn that has ended: whether another follows.
    again boolean,
    output text,
    error_code text,
    error_message text,
    PRIMARY KEY (run_id, branch)
);
-- What lies within a branch, down to the last turns of the loops in it.
CREATE INDEX branches_parent ON branches (run_id, parent_branch, branch);

DO $$
BEGIN
    ALTER TABLE branches ALTER COLUMN output SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    NULL;
END
$$;
