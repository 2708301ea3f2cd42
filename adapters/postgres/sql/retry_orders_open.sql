SELECT id, enterprise, call, by, reason, requested_at, ripe_at, position IS NOT NULL AS begun, retried
FROM retry_orders
WHERE finished_at IS NULL AND ($1::text IS NULL OR enterprise = $1)
ORDER BY id LIMIT $2
