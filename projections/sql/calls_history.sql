-- The events of calls, of each those before a version.
SELECT e.enterprise, e.stream, e.type, e.schema, e.data
FROM unnest($1::text[], $2::text[], $3::integer[]) AS named (enterprise, stream, before)
JOIN events e ON e.enterprise = named.enterprise AND e.stream = named.stream AND e.version < named.before
ORDER BY e.enterprise, e.stream, e.version
