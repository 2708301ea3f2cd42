SELECT name FROM pbx_claim($1, $2) AS c (name)
