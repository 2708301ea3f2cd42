-- Enterprises by number, for the chooser: those whose number or name holds $1 (empty: all), or the one numbered $2.
SELECT number::text AS number, coalesce(name, '') AS name, integrations_config FROM public.enterprises
WHERE ($1 = '' OR position(lower($1) IN lower(number)) > 0 OR position(lower($1) IN lower(name)) > 0)
  AND ($2::text IS NULL OR number = $2)
ORDER BY number LIMIT $3
