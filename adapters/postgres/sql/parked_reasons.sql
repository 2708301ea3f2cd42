SELECT enterprise, parked AS reason, remedy, parked_code AS code, count(*) AS calls, min(parked_ms) AS since_ms, max(parked_ms) AS last_ms
FROM calls
WHERE parked <> '' AND ($1::text IS NULL OR enterprise = $1)
GROUP BY enterprise, parked, remedy, parked_code
ORDER BY calls DESC, enterprise, reason
LIMIT $2
