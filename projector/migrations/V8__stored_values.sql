-- Where a value is too large for the journal, what it goes by in the store of values: {digest, sizeBytes}. The value itself is
-- null then. Of a commit: which of its events have such a value, as the journal says it. All since 0.2.
ALTER TABLE workflow_runs ADD COLUMN IF NOT EXISTS input_stored text, ADD COLUMN IF NOT EXISTS output_stored text;
ALTER TABLE traces ADD COLUMN IF NOT EXISTS input_stored text, ADD COLUMN IF NOT EXISTS output_stored text;
ALTER TABLE branches ADD COLUMN IF NOT EXISTS output_stored text;
ALTER TABLE commits ADD COLUMN IF NOT EXISTS stored text;
