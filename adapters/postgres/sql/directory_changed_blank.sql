-- Doubt everybody whom a new number would name instead.
UPDATE directory_contacts SET changed_ms = greatest(changed_ms, $2::bigint) WHERE enterprise = $1 AND is_blank
