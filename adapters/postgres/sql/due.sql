-- At most $2 of each enterprise named and each urgency, each time one short walk along the index.
SELECT lane.enterprise, s.stream, s.version, s.due_ms, lane.urgency
FROM (SELECT e AS enterprise, u AS urgency FROM unnest($3::text[]) AS e, unnest(ARRAY[0, 1, 2]::smallint[]) AS u) AS lane,
    LATERAL (
        SELECT t.stream, t.version, t.due_ms FROM streams t
        WHERE t.enterprise = lane.enterprise AND t.urgency = lane.urgency AND t.due_ms <= $1
        ORDER BY t.due_ms
        LIMIT $2
    ) AS s
ORDER BY lane.urgency, s.due_ms, lane.enterprise, s.stream
