-- What a failure says for programs, a JSON object, and whether the definition lets the run go on after it (else null): at the
-- last attempt of its node. Both since 0.2.
ALTER TABLE traces ADD COLUMN IF NOT EXISTS error_details text, ADD COLUMN IF NOT EXISTS tolerated boolean;
