SELECT enterprise, stream, version, due_ms
FROM streams
WHERE due_ms <= $1 AND starts_with(stream, $3)
ORDER BY due_ms
LIMIT $2
