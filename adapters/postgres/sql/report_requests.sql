SELECT period, api, sum(requests)::bigint AS requests, sum(failures)::bigint AS failures, sum(took_ms)::bigint AS took_ms,
       array_agg(count ORDER BY nth) AS took
FROM (
    SELECT width_bucket(s.hour_ms, $4::bigint[]) AS period, s.api, t.nth, sum(t.count)::bigint AS count,
           sum(s.requests) FILTER (WHERE t.nth = 1) AS requests, sum(s.failures) FILTER (WHERE t.nth = 1) AS failures,
           sum(s.took_ms) FILTER (WHERE t.nth = 1) AS took_ms
    FROM statistics_requests s
    CROSS JOIN LATERAL unnest(s.took) WITH ORDINALITY AS t (count, nth)
    WHERE ($1::text IS NULL OR s.enterprise = $1) AND s.hour_ms >= $2 AND s.hour_ms < $3
    GROUP BY 1, 2, 3
) AS each
GROUP BY 1, 2
