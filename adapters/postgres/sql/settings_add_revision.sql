-- One revision more for each of these enterprises: enterprise, settings (JSON) and fingerprint; by whom, why, inline.
INSERT INTO settings_revisions (enterprise, revision, settings, fingerprint, by, reason, inline)
SELECT n.enterprise, coalesce((SELECT max(r.revision) FROM settings_revisions AS r WHERE r.enterprise = n.enterprise), 0) + 1,
    n.settings::json, n.fingerprint, $4::text, $5::text, $6::boolean
FROM unnest($1::text[], $2::text[], $3::text[]) AS n (enterprise, settings, fingerprint)
RETURNING enterprise, revision
