-- Every UUID that stands after the word webhook_uuid in a row, also where the column is a JSON string.
SELECT number, lower(found[1]) AS uuid
FROM public.enterprises,
    LATERAL regexp_matches(integrations_config::text, 'webhook_uuid\\*"\s*:\s*\\*"([0-9A-Fa-f-]{36})', 'g') AS found
ORDER BY number
