-- What was said of each call, without what was asked of MoySklad: that changes no number.
SELECT e.enterprise, e.stream, e.position, e.type, e.schema, e.data
FROM unnest($1::text[], $2::text[]) AS named (enterprise, stream)
JOIN events e ON e.enterprise = named.enterprise AND e.stream = named.stream
WHERE e.position <= $3 AND e.type <> ALL ($4::text[])
ORDER BY e.enterprise, e.stream, e.version
