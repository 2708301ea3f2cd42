SELECT number::text AS number, ctid::text || ' ' || xmin::text AS version FROM public.enterprises
