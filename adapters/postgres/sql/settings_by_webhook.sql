-- rows that may hold this webhook's UUID, also where the column is a JSON string; the caller looks closer
SELECT number, integrations_config FROM public.enterprises
WHERE position($1::text IN lower(integrations_config::text)) > 0 ORDER BY number LIMIT 10
