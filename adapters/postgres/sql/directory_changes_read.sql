SELECT id, enterprise, at_ms, changed FROM directory_changes
WHERE at > clock_timestamp() - make_interval(secs => $1) AND NOT (id = ANY ($2::bigint[])) ORDER BY id LIMIT $3
