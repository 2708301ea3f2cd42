-- For numbers by their ends, each with a time from which on it matters: with whom somebody talked since, and until when (null:
-- they are talking). A call may have begun $4 before that and still be the talk.
SELECT c.number, CASE WHEN bool_or(c.outcome IS NULL) THEN NULL ELSE max(coalesce(c.ended_ms, c.started_ms)) END AS until_ms
FROM unnest($2::text[], $3::bigint[]) AS asked (tail, since_ms)
CROSS JOIN LATERAL (
    SELECT k.number, k.outcome, k.started_ms, k.ended_ms
    FROM calls k
    WHERE k.enterprise = $1 AND k.digits <> '' AND k.tail = asked.tail
      AND k.started_ms >= asked.since_ms - $4::bigint
      AND (k.outcome = 'answered' OR k.outcome IS NULL AND (k.talking <> '{}' OR k.talked <> '{}'))
) AS c
GROUP BY c.number
