-- The latest missed calls of an enterprise since $2, at most $3; $4 begins the ids of test calls, which count for nothing.
SELECT call, number, digits, client, extensions, extension, outcome, started_ms
FROM calls
WHERE enterprise = $1 AND direction = 'in' AND outcome IN ('missed', 'abandoned', 'busy', 'declined', 'rejected', 'failed')
  AND started_ms >= $2
  AND NOT starts_with(call, $4)
ORDER BY started_ms DESC
LIMIT $3
