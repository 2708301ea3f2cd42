INSERT INTO callbacks (enterprise, call, clients, missed_ms) VALUES ($1, $2, $3::text[], $4)
