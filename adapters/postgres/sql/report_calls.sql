-- $4: the bounds of the periods, the first and the last of them $2 and $3.
SELECT width_bucket(hour_ms, $4::bigint[]) AS period, direction, outcome, sum(calls)::bigint AS calls, sum(talk_ms)::bigint AS talk_ms,
       sum(waits)::bigint AS waits, sum(wait_ms)::bigint AS wait_ms, sum(talks)::bigint AS talks
FROM statistics_calls
WHERE ($1::text IS NULL OR enterprise = $1) AND hour_ms >= $2 AND hour_ms < $3
GROUP BY 1, 2, 3
