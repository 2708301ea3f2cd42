-- Of each enterprise and urgency named at most so many, each time one short walk along the index.
SELECT lane.enterprise, s.stream, s.version, s.due_ms, lane.urgency
FROM unnest($2::text[], $3::smallint[], $4::integer[]) AS lane (enterprise, urgency, most),
    LATERAL (
        SELECT t.stream, t.version, t.due_ms FROM streams t
        WHERE t.enterprise = lane.enterprise AND t.urgency = lane.urgency AND t.due_ms <= $1
        ORDER BY t.due_ms
        LIMIT lane.most
    ) AS s
ORDER BY lane.urgency, s.due_ms, lane.enterprise, s.stream
