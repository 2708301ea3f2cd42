-- By employee and period. answered: has talked (or, where no talks were heard, is whose call it was); missed: nobody has.
SELECT extension, period, direction, count(*) AS calls, count(*) FILTER (WHERE has_talked) AS answered,
       count(*) FILTER (WHERE outcome <> 'answered') AS missed, coalesce(sum(talk_ms), 0)::bigint AS talk_ms,
       count(wait_ms) FILTER (WHERE first) AS waits, coalesce(sum(wait_ms) FILTER (WHERE first), 0)::bigint AS wait_ms
FROM (
    SELECT width_bucket(c.started_ms, $4::bigint[]) AS period, c.direction, c.outcome, e.extension, c.wait_ms,
           c.talked_ms[array_position(c.talked, e.extension)] AS talk_ms,
           c.talked[1] = e.extension AS first,
           array_position(c.talked, e.extension) IS NOT NULL
               OR c.talked = '{}' AND c.outcome = 'answered' AND c.extension = e.extension AS has_talked
    FROM calls c
    CROSS JOIN LATERAL unnest(c.extensions) AS e (extension)
    WHERE c.enterprise = $1 AND c.started_ms >= $2 AND c.started_ms < $3
      AND c.outcome IS NOT NULL AND c.outcome <> 'internal'
) AS each
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
