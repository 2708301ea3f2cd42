SELECT l.id, l.enterprise, l.name, l.made_at, l.expires_at, l.used_at, l.revoked_at,
    l.revoked_at IS NULL AND l.expires_at > now() AS is_alive,
    (SELECT count(*) FROM sessions s WHERE s.link = l.id)::integer AS sessions
FROM access_links l
WHERE $1::text IS NULL OR l.enterprise = $1
ORDER BY l.id DESC LIMIT 1000
