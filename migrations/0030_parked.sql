-- What a person needs to know of a call that needs one: `parked` is what MoySklad said (empty: nobody is needed), `remedy` what
-- helps, `parked_ms` since when, `parked_code` MoySklad's own number for the reason. Written by projections/calls.py.
-- Columns with defaults: an older instance may still be writing rows while the new ones start.
ALTER TABLE calls
    ADD COLUMN remedy text NOT NULL DEFAULT '',
    ADD COLUMN parked_ms bigint,
    ADD COLUMN parked_code integer;
CREATE INDEX calls_parked ON calls (enterprise, call) WHERE parked <> '';

-- Until now `parked` held reason and remedy in one. The last refusal has them apart.
UPDATE calls c
SET parked = CASE WHEN r.remedy <> '' AND c.parked = r.error || ' ' || r.remedy THEN r.error ELSE c.parked END,
    remedy = r.remedy,
    parked_ms = r.at_ms,
    parked_code = r.code
FROM (
    SELECT DISTINCT ON (e.enterprise, e.stream)
        e.enterprise, e.stream, e.data ->> 'error' AS error, coalesce(e.data ->> 'remedy', '') AS remedy,
        (e.data ->> 'at_ms')::bigint AS at_ms, (e.data ->> 'code')::integer AS code
    FROM calls p
    JOIN events e ON e.enterprise = p.enterprise AND e.stream = 'call/' || p.call
    WHERE p.parked <> '' AND e.type = 'effect_refused'
    ORDER BY e.enterprise, e.stream, e.version DESC
) AS r
WHERE c.parked <> '' AND r.enterprise = c.enterprise AND r.stream = 'call/' || c.call;
