SELECT integrations_config, md5(integrations_config::text) AS mark FROM public.enterprises WHERE number = $1
