SELECT number::text AS number, ctid::text || ' ' || xmin::text AS version, integrations_config
FROM public.enterprises WHERE number::text = ANY ($1::text[])
