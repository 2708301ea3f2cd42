INSERT INTO statistics_people AS s (enterprise, hour_ms, extension, direction, calls, answered, missed, talk_ms, waits, wait_ms)
SELECT * FROM unnest(
    $1::text[], $2::bigint[], $3::text[], $4::text[], $5::integer[], $6::integer[], $7::integer[], $8::bigint[], $9::integer[],
    $10::bigint[]
)
ON CONFLICT (enterprise, hour_ms, extension, direction) DO UPDATE SET
    calls = s.calls + excluded.calls, answered = s.answered + excluded.answered, missed = s.missed + excluded.missed,
    talk_ms = s.talk_ms + excluded.talk_ms, waits = s.waits + excluded.waits, wait_ms = s.wait_ms + excluded.wait_ms
