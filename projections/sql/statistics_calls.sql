INSERT INTO statistics_calls AS s (enterprise, hour_ms, direction, outcome, calls, talk_ms, waits, wait_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (enterprise, hour_ms, direction, outcome) DO UPDATE SET
    calls = s.calls + excluded.calls, talk_ms = s.talk_ms + excluded.talk_ms,
    waits = s.waits + excluded.waits, wait_ms = s.wait_ms + excluded.wait_ms
