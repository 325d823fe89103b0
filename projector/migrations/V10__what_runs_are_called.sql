-- What runs are called: a name, labels and search attributes (objects; else null), and for which nodes one was started (a list
-- of ids; else null: for all). Since 0.2.
ALTER TABLE workflow_runs
    ADD COLUMN IF NOT EXISTS name text,
    ADD COLUMN IF NOT EXISTS labels jsonb,
    ADD COLUMN IF NOT EXISTS attributes jsonb,
    ADD COLUMN IF NOT EXISTS targets text;
CREATE INDEX IF NOT EXISTS workflow_runs_labels ON workflow_runs USING gin (labels jsonb_path_ops);
CREATE INDEX IF NOT EXISTS workflow_runs_attributes ON workflow_runs USING gin (attributes jsonb_path_ops);
-- The calls of a run, by the run that was called.
CREATE INDEX IF NOT EXISTS traces_children ON traces (run_id) WHERE child_run_id IS NOT NULL;
