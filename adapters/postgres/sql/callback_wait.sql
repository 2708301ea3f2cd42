UPDATE callbacks SET waits = true WHERE enterprise = $1 AND call = $2 AND closed_by IS NULL
