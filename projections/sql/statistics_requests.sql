INSERT INTO statistics_requests AS s (enterprise, hour_ms, api, requests, failures, took_ms, took)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (enterprise, hour_ms, api) DO UPDATE SET
    requests = s.requests + excluded.requests, failures = s.failures + excluded.failures, took_ms = s.took_ms + excluded.took_ms,
    took = (SELECT array_agg(a + b ORDER BY n) FROM unnest(s.took, excluded.took) WITH ORDINALITY AS t (a, b, n))
