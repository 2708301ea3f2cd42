INSERT INTO sessions (id_hash, link, address, expires_at) VALUES ($1, $2, $3, now() + make_interval(secs => $4))
