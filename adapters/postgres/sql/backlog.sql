-- What should have been done by now ($1), by enterprise and urgency: the index of due streams is stepped through from one
-- enterprise and urgency to the next, so that the table, with all that was ever done, is never read.
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
SELECT lane.enterprise, lane.urgency, s.calls, s.oldest_ms
FROM lane, LATERAL (
    SELECT count(*) AS calls, min(t.due_ms) AS oldest_ms FROM streams t
    WHERE t.enterprise = lane.enterprise AND t.urgency = lane.urgency AND t.due_ms <= $1
) AS s
WHERE s.calls > 0
