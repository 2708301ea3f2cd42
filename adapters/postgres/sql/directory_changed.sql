-- Doubt whatever these changed people are in.
UPDATE directory_contacts SET changed_ms = greatest(changed_ms, $3::bigint) WHERE enterprise = $1 AND people && $2::text[]
