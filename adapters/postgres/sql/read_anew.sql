-- Data as text: it is decoded without becoming a dictionary first. Bridges and channels are no read model's.
SELECT enterprise, stream, version, position, type, schema, data::text AS data, recorded_ms
FROM events
WHERE position > $1 AND position <= $2 AND (starts_with(stream, 'call/') OR starts_with(stream, 'click/'))
ORDER BY position
