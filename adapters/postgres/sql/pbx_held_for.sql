SELECT name, (extract(epoch FROM clock_timestamp() - since) * 1000)::bigint AS held_for_ms
FROM pbx_claims WHERE name = ANY ($1)
