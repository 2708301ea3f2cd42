SELECT enterprise, stream, version, position, id, type, schema, data, recorded_ms
FROM events
WHERE position > $1
ORDER BY position
LIMIT $2
