-- By what runs are found: one row for each thing a list can be asked for beside status and workflow (a name, a label, a search
-- attribute, a value of the input, the run that called it). A term is the first half of the SHA-256 of what it stands for
-- (`src/terms.rs`): short, of one length, and the rows of one term stand in the order of the list. What runs were there before is
-- filled in by the program that migrates. Since 0.2.
CREATE TABLE IF NOT EXISTS run_terms (
    term uuid NOT NULL,
    started_at timestamptz NOT NULL,
    run_id uuid NOT NULL,
    shard smallint NOT NULL,
    PRIMARY KEY (term, started_at, run_id)
);
-- Those of one status in the same order: without it, a status that no run has is looked for in all of them.
CREATE INDEX IF NOT EXISTS workflow_runs_status ON workflow_runs (workspace, status, started_at, run_id);
-- They found what is in no order.
DROP INDEX IF EXISTS workflow_runs_labels;
DROP INDEX IF EXISTS workflow_runs_attributes;
