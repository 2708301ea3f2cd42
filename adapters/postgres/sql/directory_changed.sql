-- Doubt what a change concerns: whom it names, and with $3 everybody whom a new number would name instead.
UPDATE directory_contacts SET changed_ms = greatest(changed_ms, $4::bigint)
WHERE enterprise = $1 AND (people && $2::text[] OR ($3::boolean AND is_blank))
