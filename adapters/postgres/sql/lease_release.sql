SELECT lease_release($1, $2, $3)
