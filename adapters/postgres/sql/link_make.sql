-- Nothing when the enterprise has $5 living links already.
INSERT INTO access_links (secret_hash, enterprise, name, expires_at)
SELECT $1, $2::text, $3, now() + make_interval(days => $4)
WHERE (SELECT count(*) FROM access_links WHERE enterprise = $2 AND revoked_at IS NULL AND expires_at > now()) < $5
RETURNING id
