SELECT id, enterprise, at_ms, changed, extract(epoch FROM clock_timestamp() - at)::float8 AS age_s FROM directory_changes
WHERE at > clock_timestamp() - make_interval(secs => $1) AND NOT (id = ANY ($2::bigint[])) ORDER BY id LIMIT $3
