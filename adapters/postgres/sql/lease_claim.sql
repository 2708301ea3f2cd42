SELECT claimed, quiet_ms FROM lease_claim($1, $2, $3, $4, $5)
