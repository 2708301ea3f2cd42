-- Whether anybody has heard of an enterprise: it has a row, or had settings once, or a stream of the log is its.
SELECT EXISTS (SELECT 1 FROM public.enterprises WHERE number = $1)
    OR EXISTS (SELECT 1 FROM settings_revisions WHERE enterprise = $1)
    OR EXISTS (SELECT 1 FROM streams WHERE enterprise = $1)
