SELECT nth FROM set_due_many($1, $2, $3, $4, $5) AS nth
