SELECT integrations_config, xmin::text || ctid::text AS mark FROM public.enterprises WHERE number = $1
