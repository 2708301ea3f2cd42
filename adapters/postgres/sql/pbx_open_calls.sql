-- Calls of one connection ($2, as Observation.wire says) that are not known to be over: whatever is not has an alarm set.
SELECT s.stream
FROM streams s
WHERE s.enterprise = $1
  AND s.stream >= 'call/' AND s.stream < 'call0'
  AND s.due_ms IS NOT NULL
  AND NOT EXISTS (
        SELECT FROM events e
        WHERE e.enterprise = s.enterprise AND e.stream = s.stream AND e.recorded_ms BETWEEN s.first_ms AND s.last_ms
          AND e.type IN ('hangup_observed', 'leg_absorbed')
    )
  AND EXISTS (
        SELECT FROM events e
        WHERE e.enterprise = s.enterprise AND e.stream = s.stream AND e.recorded_ms BETWEEN s.first_ms AND s.last_ms
          AND e.data ->> 'wire' = $2
    )
ORDER BY s.stream
LIMIT $3
