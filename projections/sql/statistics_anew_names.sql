INSERT INTO anew_statistics_names AS s (enterprise, extension, name, position)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[])
ON CONFLICT (enterprise, extension) DO UPDATE SET name = excluded.name, position = excluded.position
WHERE s.position < excluded.position
