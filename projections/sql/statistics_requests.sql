INSERT INTO statistics_requests AS s (enterprise, hour_ms, api, requests, failures, took_ms, took)
SELECT enterprise, hour_ms, api, requests, failures, took_ms, took::integer[]
FROM unnest($1::text[], $2::bigint[], $3::text[], $4::integer[], $5::integer[], $6::bigint[], $7::text[])
    AS asked (enterprise, hour_ms, api, requests, failures, took_ms, took)
ON CONFLICT (enterprise, hour_ms, api) DO UPDATE SET
    requests = s.requests + excluded.requests, failures = s.failures + excluded.failures, took_ms = s.took_ms + excluded.took_ms,
    took = (SELECT array_agg(a + b ORDER BY n) FROM unnest(s.took, excluded.took) WITH ORDINALITY AS t (a, b, n))
