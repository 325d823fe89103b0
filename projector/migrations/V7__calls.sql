-- The run that an attempt calls (else null). Since 0.2.
ALTER TABLE traces ADD COLUMN IF NOT EXISTS child_run_id uuid;
