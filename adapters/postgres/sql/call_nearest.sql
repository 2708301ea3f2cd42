-- $2: the last digits of the number, turned round. A leg of a call has the same number and time: the call is meant.
SELECT call, number FROM calls
WHERE enterprise = $1 AND tail = $2 AND digits <> '' AND abs(started_ms - $3::bigint) <= $4::bigint
ORDER BY phase = 'absorbed', abs(started_ms - $3::bigint) LIMIT 20
