INSERT INTO audit (actor, address, action, enterprise, object, details) VALUES ($1, $2, $3, $4, $5, $6)
