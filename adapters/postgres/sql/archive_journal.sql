-- A page of our lines in the journal about what is at $1 in the log or before.
DELETE FROM public.integration_logs WHERE ms_position IN (
    SELECT ms_position FROM public.integration_logs WHERE ms_position <= $1 ORDER BY ms_position LIMIT 20000
)
