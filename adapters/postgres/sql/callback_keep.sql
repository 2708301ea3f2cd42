UPDATE callbacks SET task = $3, waits = false, changed_at = clock_timestamp()
WHERE enterprise = $1 AND call = $2
RETURNING closed_by IS NULL
