-- Rows that hold a token in the clear, ours or another integration's, also where the column is a JSON string: whoever wrote ours did so by SQL.
SELECT number, integrations_config FROM public.enterprises
WHERE integrations_config::text ~ '(integration_code|api_token)\\*"\s*:\s*\\*"(?!enc:v1:)[^"\\]'
ORDER BY number
