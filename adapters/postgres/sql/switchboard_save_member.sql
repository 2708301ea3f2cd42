INSERT INTO switchboard_members (enterprise, bridge, channel, trunk, heard_ms)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::bigint[])
ON CONFLICT (enterprise, bridge, channel) DO UPDATE SET trunk = excluded.trunk
