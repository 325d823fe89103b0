-- Who asked for a commit, and what it follows from, as the journal says since 0.2; null in what was written before.
-- `actor` is the journal's JSON, `{"claimed": "…"}`; `cause` is `shard:sequence:index`, an effect of that bundle.
ALTER TABLE commits ADD COLUMN actor text, ADD COLUMN cause text;
ALTER TABLE workflow_runs ADD COLUMN started_by text, ADD COLUMN cancelled_by text;
ALTER TABLE workflow_defs ADD COLUMN applied_by text;

CREATE OR REPLACE VIEW events AS
SELECT c.shard, c.sequence, c.ordinal, coalesce(c.aggregate, 'run/' || c.run_id) AS aggregate, c.run_id,
       c.revision + e.position - 1 AS revision, c.time, c.command_id, e.event, c.actor, c.cause
FROM commits c, json_array_elements(c.events::json) WITH ORDINALITY AS e (event, position);
