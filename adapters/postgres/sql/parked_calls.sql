SELECT enterprise, call, parked AS reason, remedy, parked_code AS code, parked_ms AS since_ms, phase, direction, started_ms
FROM calls
WHERE parked <> '' AND ($1::text IS NULL OR enterprise = $1)
ORDER BY parked_ms DESC NULLS LAST, enterprise, call
LIMIT $2
