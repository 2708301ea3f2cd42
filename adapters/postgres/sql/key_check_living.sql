SELECT address FROM nodes WHERE expires_at > clock_timestamp() ORDER BY started_at LIMIT 1
