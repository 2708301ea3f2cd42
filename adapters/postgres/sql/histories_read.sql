-- The events of these streams, each stream's in order.
SELECT e.enterprise, e.stream, e.type, e.schema, e.data
FROM unnest($1::text[], $2::text[]) AS named (enterprise, stream)
JOIN streams s USING (enterprise, stream)
JOIN events e ON e.enterprise = s.enterprise AND e.stream = s.stream AND e.recorded_ms BETWEEN s.first_ms AND s.last_ms
ORDER BY e.enterprise, e.stream, e.version
