-- Whoever was missed again after the talk still waits.
UPDATE callbacks SET closed_by = $2, waits = false, changed_at = clock_timestamp()
WHERE enterprise = $1 AND closed_by IS NULL AND clients && $3::text[] AND missed_ms <= $4
