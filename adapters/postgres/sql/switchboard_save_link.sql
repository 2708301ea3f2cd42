INSERT INTO switchboard_links (enterprise, leg, call, heard_ms) VALUES ($1, $2, $3, $4)
ON CONFLICT (enterprise, leg, call) DO NOTHING
