SELECT enterprise, call, phase, phase_ms, direction, number, client, ringing, talking, cards, started_ms, failures, parked
FROM calls
WHERE phase IN ('arrived', 'ringing', 'talking', 'on_hold', 'transferring')
ORDER BY started_ms, enterprise, call
LIMIT $1
