-- Since when something is so: the place and the time of the commit that says it. Nothing here is ever changed: what was
-- true before stays, and is what a read as of a moment is made of.

-- Which version of a workflow was current from a commit on, until the next row of the same workflow.
CREATE TABLE workflow_selections (
    workspace text NOT NULL,
    slug text NOT NULL,
    -- Of the commit; orders the selections of a workflow.
    revision bigint NOT NULL,
    version integer NOT NULL,
    shard smallint NOT NULL,
    sequence bigint NOT NULL,
    selected_at timestamptz NOT NULL,
    PRIMARY KEY (workspace, slug, revision)
);

-- Events as journals hold them: Postgres keeps such a text, and does not look into it where `\u0000` or half a surrogate stands
-- anywhere in it. What is looked at here is never escaped, so the escapes make way for one that says nothing.
INSERT INTO workflow_selections
SELECT split_part(c.aggregate, '/', 2), split_part(c.aggregate, '/', 3), c.revision, s.version, c.shard, c.sequence, c.time
FROM commits c
CROSS JOIN LATERAL (
    SELECT (coalesce(e.event -> 'workflow' -> 'workflowApplied', e.event -> 'workflow' -> 'versionSelected')
            ->> 'version')::integer AS version
    FROM json_array_elements(regexp_replace(c.events, '\\u[0-9a-fA-F]{4}', '\\/', 'g')::json) WITH ORDINALITY AS e (event, position)
    WHERE e.event -> 'workflow' IS NOT NULL
    ORDER BY e.position DESC LIMIT 1
) s
WHERE c.aggregate LIKE 'workflow/%';

-- Of the commit that first said that there is the asset.
ALTER TABLE assets ADD COLUMN shard smallint, ADD COLUMN sequence bigint, ADD COLUMN known_at timestamptz;

UPDATE assets a SET shard = f.shard, sequence = f.sequence, known_at = f.time
FROM assets b
CROSS JOIN LATERAL (
    SELECT c.shard, c.sequence, c.time
    FROM commits c
    WHERE c.aggregate = 'asset/' || b.workspace || '/' || b.asset_id AND EXISTS (
        SELECT FROM json_array_elements(regexp_replace(c.events, '\\u[0-9a-fA-F]{4}', '\\/', 'g')::json) AS e (event)
        WHERE e.event -> 'asset' -> 'assetDeclared' IS NOT NULL
           OR e.event -> 'asset' -> 'assetMaterialized' IS NOT NULL
           OR e.event -> 'released' IS NOT NULL)
    ORDER BY c.revision LIMIT 1
) f
WHERE (a.workspace, a.asset_key) = (b.workspace, b.asset_key);

ALTER TABLE assets ALTER COLUMN shard SET NOT NULL, ALTER COLUMN sequence SET NOT NULL, ALTER COLUMN known_at SET NOT NULL;
