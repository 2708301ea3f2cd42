INSERT INTO statistics_names (enterprise, extension, name)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[])
ON CONFLICT (enterprise, extension) DO UPDATE SET name = excluded.name
