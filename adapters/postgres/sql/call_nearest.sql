-- $2: the last digits of the number, turned round.
SELECT call, number FROM calls
WHERE enterprise = $1 AND tail = $2 AND digits <> '' AND abs(started_ms - $3::bigint) <= $4::bigint
ORDER BY abs(started_ms - $3::bigint) LIMIT 20
