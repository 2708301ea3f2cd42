SELECT enterprise, stream, version, position, id, type, schema, data, recorded_ms
FROM events
WHERE enterprise = $1 AND stream = $2 AND version > $3
ORDER BY version
