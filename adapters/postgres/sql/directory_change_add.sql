-- Nothing when this delivery was told of before.
INSERT INTO directory_changes (enterprise, request, at_ms, changed) VALUES ($1, $2, $3, $4)
ON CONFLICT (enterprise, request) DO NOTHING RETURNING id
