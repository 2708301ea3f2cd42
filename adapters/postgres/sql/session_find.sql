-- A session that is alive: not idle for too long, not too old, and its link neither revoked nor expired.
SELECT s.link, s.address, l.enterprise, l.name, s.seen_at < now() - make_interval(secs => $3) AS stale
FROM sessions s LEFT JOIN access_links l ON l.id = s.link
WHERE s.id_hash = $1 AND s.expires_at > now() AND s.seen_at > now() - make_interval(secs => $2)
  AND (s.link IS NULL OR (l.revoked_at IS NULL AND l.expires_at > now()))
