SELECT e.enterprise, e.stream, e.type, e.schema, e.data
FROM unnest($1::text[], $2::text[]) AS named (enterprise, stream)
JOIN events e ON e.enterprise = named.enterprise AND e.stream = named.stream
WHERE e.position <= $3
ORDER BY e.enterprise, e.stream, e.version
