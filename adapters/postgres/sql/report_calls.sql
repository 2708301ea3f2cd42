-- $4: the bounds of the periods, the first and the last of them $2 and $3.
SELECT width_bucket(started_ms, $4::bigint[]) AS period, direction, outcome, count(*) AS calls, sum(talk_ms)::bigint AS talk_ms,
       count(wait_ms) AS waits, coalesce(sum(wait_ms), 0)::bigint AS wait_ms
FROM calls
WHERE ($1::text IS NULL OR enterprise = $1) AND started_ms >= $2 AND started_ms < $3
  AND outcome IS NOT NULL AND outcome <> 'internal'
GROUP BY 1, 2, 3
