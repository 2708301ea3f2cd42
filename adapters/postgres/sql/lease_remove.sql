SELECT lease_remove($1, $2)
