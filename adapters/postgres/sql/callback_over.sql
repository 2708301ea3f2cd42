-- The task was done, or deleted, in MoySklad itself: nobody waits for it any more.
UPDATE callbacks SET closed_by = $2, waits = false, changed_at = clock_timestamp()
WHERE enterprise = $1 AND task = $3 AND closed_by IS NULL
