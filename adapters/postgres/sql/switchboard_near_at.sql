-- switchboard_near as of a place in the log: no row when the log is joined further, or not so far; one without a "what" when
-- nothing is near. One statement sees one moment of both.
SELECT n.what, n.enterprise, n.one, n.two, n.kind, n.flag, n.first_ms, n.ended_ms
FROM checkpoints c
LEFT JOIN switchboard_near($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) AS n ON true
WHERE c.name = $11 AND c.position = $12
