-- The latest missed calls of an enterprise since $2, at most $3.
SELECT call, number, digits, client, extensions, outcome, started_ms
FROM calls
WHERE enterprise = $1 AND direction = 'in' AND outcome IN ('missed', 'abandoned') AND started_ms >= $2
  AND NOT starts_with(call, 'selftest-')
ORDER BY started_ms DESC
LIMIT $3
