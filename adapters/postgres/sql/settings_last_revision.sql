-- The last revision of each of these enterprises ($1) that has one.
SELECT asked.enterprise, last.revision, last.fingerprint
FROM unnest($1::text[]) AS asked (enterprise), LATERAL (
    SELECT revision, fingerprint FROM settings_revisions AS r
    WHERE r.enterprise = asked.enterprise AND NOT inline ORDER BY revision DESC LIMIT 1
) AS last
