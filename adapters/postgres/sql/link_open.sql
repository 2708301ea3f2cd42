-- Whoever shows the secret of a living link.
UPDATE access_links SET used_at = now()
WHERE secret_hash = $1 AND revoked_at IS NULL AND expires_at > now()
RETURNING id, enterprise, name
