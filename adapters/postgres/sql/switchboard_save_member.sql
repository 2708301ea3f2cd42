INSERT INTO switchboard_members (enterprise, bridge, channel, trunk, heard_ms) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (enterprise, bridge, channel) DO UPDATE SET trunk = excluded.trunk
