-- A link that is known already stays as it is, but for how far its leg was copied, which never goes back.
INSERT INTO switchboard_links AS known (enterprise, leg, call, relayed, heard_ms)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::integer[], $5::bigint[])
ON CONFLICT (enterprise, leg, call) DO UPDATE SET relayed = excluded.relayed WHERE known.relayed < excluded.relayed
