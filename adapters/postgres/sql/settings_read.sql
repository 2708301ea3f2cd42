-- The rows of these enterprises ($1), each with what tells whether it is still the one that was read (see settings_marks).
SELECT asked.number, e.integrations_config, e.xmin::text || e.ctid::text AS mark
FROM unnest($1::text[]) AS asked (number) JOIN public.enterprises AS e ON e.number = asked.number
