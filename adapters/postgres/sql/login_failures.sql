-- How many failures each source has in the window of $2 seconds, and how long it lasts.
SELECT source, count, greatest(1, ceil(extract(epoch FROM since + make_interval(secs => $2) - now())))::integer AS wait_s
FROM login_failures
WHERE source = ANY ($1::text[]) AND since > now() - make_interval(secs => $2)
