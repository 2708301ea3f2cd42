INSERT INTO statistics_calls AS s (enterprise, hour_ms, direction, outcome, calls, talk_ms, waits, wait_ms, talks)
SELECT * FROM unnest(
    $1::text[], $2::bigint[], $3::text[], $4::text[], $5::integer[], $6::bigint[], $7::integer[], $8::bigint[], $9::integer[]
)
ON CONFLICT (enterprise, hour_ms, direction, outcome) DO UPDATE SET
    calls = s.calls + excluded.calls, talk_ms = s.talk_ms + excluded.talk_ms,
    waits = s.waits + excluded.waits, wait_ms = s.wait_ms + excluded.wait_ms,
    talks = s.talks + excluded.talks
