SELECT integrations_config FROM public.enterprises WHERE number = $1 FOR UPDATE
