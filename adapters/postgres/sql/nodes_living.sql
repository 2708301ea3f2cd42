SELECT id, address, floor(extract(epoch FROM started_at) * 1000)::bigint AS started_ms, report
FROM nodes WHERE expires_at > clock_timestamp() ORDER BY started_at, id
