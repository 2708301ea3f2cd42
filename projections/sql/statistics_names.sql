INSERT INTO statistics_names (enterprise, extension, name) VALUES ($1, $2, $3)
ON CONFLICT (enterprise, extension) DO UPDATE SET name = excluded.name
