SELECT call FROM calls WHERE enterprise = $1 AND parked <> '' AND call > $2 ORDER BY call LIMIT $3
