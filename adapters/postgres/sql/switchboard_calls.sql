-- Calls that a leg may belong to, and calls of the same customer that were up at the time (rule 5).
SELECT call, kind, number, first_ms, ended_ms, absorbed FROM switchboard_calls
WHERE enterprise = $1 AND call = ANY ($2::text[])
UNION
SELECT call, kind, number, first_ms, ended_ms, absorbed FROM switchboard_calls
WHERE enterprise = $1 AND number = ANY ($3::text[]) AND number <> '' AND first_ms >= $4
  AND (ended_ms IS NULL OR ended_ms >= $5)
