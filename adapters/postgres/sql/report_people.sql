SELECT width_bucket(hour_ms, $4::bigint[]) AS period, extension, direction, sum(calls)::bigint AS calls, sum(answered)::bigint AS answered,
       sum(missed)::bigint AS missed, sum(talk_ms)::bigint AS talk_ms, sum(waits)::bigint AS waits, sum(wait_ms)::bigint AS wait_ms
FROM statistics_people
WHERE enterprise = $1 AND hour_ms >= $2 AND hour_ms < $3
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
