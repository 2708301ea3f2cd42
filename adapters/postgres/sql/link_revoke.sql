WITH revoked AS (
    UPDATE access_links SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL RETURNING id
)
DELETE FROM sessions WHERE link = $1
