SELECT due_ms FROM streams WHERE due_ms IS NOT NULL AND starts_with(stream, $1) ORDER BY due_ms LIMIT 1
