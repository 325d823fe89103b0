-- What people are asked: one row for each attempt that asks. The form stands in the definition, the answers in the events.
CREATE TABLE human_tasks (
    run_id uuid NOT NULL,
    asked_at timestamptz NOT NULL,
    due_at timestamptz,
    reminded_at timestamptz,
    closed_at timestamptz,
    branch integer NOT NULL,
    attempt integer NOT NULL,
    version integer NOT NULL,
    -- How many are to answer.
    quorum integer NOT NULL,
    node_id text NOT NULL,
    workspace text NOT NULL,
    workflow text NOT NULL,
    -- Where its attempt stands: 'waiting' while it is open.
    status text NOT NULL,
    title text NOT NULL,
    description text,
    -- A list of names; none: anybody.
    assignees jsonb NOT NULL,
    -- Who has answered, and when, in order: a list of {by, at}.
    answers jsonb NOT NULL,
    PRIMARY KEY (run_id, node_id, branch, attempt)
);
CREATE INDEX human_tasks_open ON human_tasks (workspace, asked_at, run_id, node_id, branch, attempt) WHERE status = 'waiting';
CREATE INDEX human_tasks_open_of ON human_tasks (run_id) WHERE status = 'waiting';
