-- As due.sql for every enterprise: the index is stepped through from one enterprise and urgency to the next, however many
-- streams each has.
WITH RECURSIVE lane AS (
    (SELECT enterprise, urgency FROM streams WHERE due_ms IS NOT NULL ORDER BY enterprise, urgency LIMIT 1)
    UNION ALL
    SELECT next.enterprise, next.urgency
    FROM lane, LATERAL (
        SELECT t.enterprise, t.urgency FROM streams t
        WHERE t.due_ms IS NOT NULL AND (t.enterprise, t.urgency) > (lane.enterprise, lane.urgency)
        ORDER BY t.enterprise, t.urgency
        LIMIT 1
    ) AS next
)
SELECT lane.enterprise, s.stream, s.version, s.due_ms, lane.urgency
FROM lane, LATERAL (
    SELECT t.stream, t.version, t.due_ms FROM streams t
    WHERE t.enterprise = lane.enterprise AND t.urgency = lane.urgency AND t.due_ms <= $1
    ORDER BY t.due_ms
    LIMIT CASE WHEN lane.urgency < 2 THEN $2::integer WHEN lane.enterprise = ANY ($4::text[]) THEN 0 ELSE $3::integer END
) AS s
ORDER BY lane.urgency, s.due_ms, lane.enterprise, s.stream
