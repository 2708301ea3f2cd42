SELECT enterprise, call, phase, direction, outcome, number, extensions, extension, started_ms, ended_ms, talk_ms,
       moysklad_call, open_cards, failures, parked, remedy
FROM calls
WHERE ($1::text IS NULL OR enterprise = $1)
  AND ($2::text IS NULL OR right(digits, 9) = $2)
  AND ($3::text IS NULL OR $3 = ANY (extensions))
  AND ($4::text IS NULL OR outcome = $4)
  AND ($5::bigint IS NULL OR started_ms >= $5)
  AND ($6::bigint IS NULL OR started_ms <= $6)
  AND (NOT $7::boolean OR failures > 0 OR parked <> '')
ORDER BY started_ms DESC
LIMIT $8
