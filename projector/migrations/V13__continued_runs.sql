-- The run that a run goes on from: {run, revision, how}; else null. Since 0.2.
ALTER TABLE workflow_runs ADD COLUMN IF NOT EXISTS continued_from text;
