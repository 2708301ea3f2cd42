-- What tells whether the settings of these enterprises ($1) are still those that were read.
SELECT number, md5(integrations_config::text) AS mark FROM public.enterprises WHERE number = ANY ($1::text[])
