-- A customer ($2: his names) who waits already was missed once more.
UPDATE callbacks c
SET missed_ms = greatest(missed_ms, $3),
    clients = (SELECT array_agg(DISTINCT name) FROM unnest(c.clients || $2::text[]) AS name),
    changed_at = clock_timestamp()
WHERE enterprise = $1 AND closed_by IS NULL AND clients && $2::text[]
RETURNING call, task
