-- $2, $3: the last digits of the number, turned round: from $2 on, and before $3 (null: exactly $2). $13 to $15: after this
-- place, where the last page ended.
SELECT enterprise, call, phase, direction, outcome, number, client, extensions, extension, started_ms, ended_ms, talk_ms, wait_ms,
       moysklad_call, open_cards, failures, parked, remedy,
       EXISTS (SELECT 1 FROM clicks WHERE clicks.enterprise = calls.enterprise AND clicks.call = calls.call) AS clicked
FROM calls
WHERE ($1::text IS NULL OR enterprise = $1)
  AND ($2::text IS NULL OR digits <> '' AND CASE WHEN $3::text IS NULL THEN tail = $2 ELSE tail >= $2 AND tail < $3 END)
  AND ($4::text IS NULL OR calls_people(enterprise, extensions) @> ARRAY[coalesce($1 || chr(31), '') || $4])
  AND ($5::text[] IS NULL OR outcome = ANY ($5))
  AND ($6::text IS NULL OR direction = $6)
  AND ($7::bigint IS NULL OR started_ms >= $7)
  AND ($8::bigint IS NULL OR started_ms <= $8)
  AND (NOT $9::boolean OR failures > 0 OR parked <> '')
  AND (NOT $10::boolean OR parked <> '')
  AND (NOT $11::boolean OR phase IN ('arrived', 'ringing', 'talking', 'on_hold', 'transferring'))
  AND ($13::bigint IS NULL OR started_ms <= $13 AND (started_ms, enterprise, call) < ($13, $14::text, $15::text))
ORDER BY started_ms DESC, enterprise DESC, call DESC
LIMIT $12
