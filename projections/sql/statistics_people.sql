INSERT INTO statistics_people AS s (enterprise, hour_ms, extension, direction, calls, answered, missed, talk_ms, waits, wait_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (enterprise, hour_ms, extension, direction) DO UPDATE SET
    calls = s.calls + excluded.calls, answered = s.answered + excluded.answered, missed = s.missed + excluded.missed,
    talk_ms = s.talk_ms + excluded.talk_ms, waits = s.waits + excluded.waits, wait_ms = s.wait_ms + excluded.wait_ms
