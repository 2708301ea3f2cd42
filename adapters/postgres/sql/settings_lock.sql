-- the row, made if there is none, locked against another administrator
WITH made AS (
    INSERT INTO public.enterprises (number) VALUES ($1) ON CONFLICT DO NOTHING RETURNING integrations_config
)
SELECT integrations_config FROM made
UNION ALL
(SELECT integrations_config FROM public.enterprises WHERE number = $1 FOR UPDATE)
