-- Of each enterprise named ($5) and each urgency at most so many, each time one short walk along the index.
SELECT lane.enterprise, s.stream, s.version, s.due_ms, lane.urgency
FROM (
    SELECT e.enterprise, u.urgency
    FROM unnest($5::text[]) AS e (enterprise) CROSS JOIN (VALUES (0::smallint), (1::smallint), (2::smallint)) AS u (urgency)
) AS lane, LATERAL (
    SELECT t.stream, t.version, t.due_ms FROM streams t
    WHERE t.enterprise = lane.enterprise AND t.urgency = lane.urgency AND t.due_ms <= $1
    ORDER BY t.due_ms
    LIMIT CASE WHEN lane.urgency < 2 THEN $2::integer WHEN lane.enterprise = ANY ($4::text[]) THEN 0 ELSE $3::integer END
) AS s
ORDER BY lane.urgency, s.due_ms, lane.enterprise, s.stream
