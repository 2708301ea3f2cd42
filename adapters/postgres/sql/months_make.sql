-- This month and the next, where they are not there yet; which were made.
SELECT to_char(m.day, 'YYYY-MM') AS month
FROM (VALUES ((now() AT TIME ZONE 'UTC')::date), ((now() AT TIME ZONE 'UTC' + interval '1 month')::date)) AS m (day)
WHERE events_month(m.day)
