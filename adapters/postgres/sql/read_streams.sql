-- Of each stream named what follows the version named: one short walk along the key for each.
SELECT e.enterprise, e.stream, e.version, e.position, e.id, e.type, e.schema, e.data, e.recorded_ms
FROM unnest($1::text[], $2::text[], $3::integer[]) WITH ORDINALITY AS asked (enterprise, stream, after, nth), LATERAL (
    SELECT x.* FROM events x
    WHERE x.enterprise = asked.enterprise AND x.stream = asked.stream AND x.version > asked.after
    ORDER BY x.version
) AS e
ORDER BY asked.nth, e.version
