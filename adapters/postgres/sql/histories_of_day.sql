-- Calls of one enterprise that began within a time, in order; $4, $5: after this place.
SELECT call, started_ms FROM calls
WHERE enterprise = $1 AND started_ms >= $2 AND started_ms < $3 AND (started_ms, call) > ($4, $5)
ORDER BY started_ms, call
LIMIT $6
