INSERT INTO settings_revisions (enterprise, revision, settings, by, reason, fingerprint, inline)
SELECT $1::text, coalesce(max(revision), 0) + 1, $2::json, $3::text, $4::text, $5::text, $6::boolean
FROM settings_revisions WHERE enterprise = $1
RETURNING revision
