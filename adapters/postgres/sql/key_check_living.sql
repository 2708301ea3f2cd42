SELECT address FROM nodes WHERE expires_at > clock_timestamp() AND id <> $1 ORDER BY started_at LIMIT 1
