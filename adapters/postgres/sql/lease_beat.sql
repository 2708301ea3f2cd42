SELECT id, address, (extract(epoch FROM started_at) * 1000)::bigint AS started_ms, report, host, pid, process_started
FROM lease_beat($1, $2, $3)
