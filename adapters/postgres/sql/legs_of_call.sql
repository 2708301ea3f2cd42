-- What has a history of its own and turned out to be a leg of $2, which was up from $3 until $4 (null: it still is): a leg is up
-- together with its call, and may have begun a little before.
SELECT c.call FROM calls c
WHERE c.enterprise = $1 AND c.phase = 'absorbed' AND c.started_ms BETWEEN $3::bigint - 3600000 AND coalesce($4::bigint, $3::bigint + 86400000) + 3600000
    AND EXISTS (
        SELECT FROM events e
        WHERE e.enterprise = $1 AND e.stream = 'call/' || c.call AND e.type = 'leg_absorbed' AND e.data ->> 'into' = $2
    )
ORDER BY c.started_ms, c.call LIMIT 100
