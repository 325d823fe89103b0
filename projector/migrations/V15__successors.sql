-- The run that goes on from a run which has ended; else null. Since 0.2.
ALTER TABLE workflow_runs ADD COLUMN IF NOT EXISTS continued_as uuid;
