SELECT what, enterprise, one, two, kind, flag, first_ms, ended_ms FROM switchboard_near($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
