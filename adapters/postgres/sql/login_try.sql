-- Count a try before it is looked at, so that a hundred at once are no way around the limit: $1 the source, $2 the window in
-- seconds, $3 how many tries each has, $4 how many all have together ('*'). Whoever is over the limit adds nothing for others,
-- and while all are over it no new sources are kept.
WITH everybody AS (
    SELECT count, since FROM login_failures WHERE source = '*' AND since > now() - make_interval(secs => $2)
), one AS (
    INSERT INTO login_failures AS f (source, count)
    SELECT $1::text, 1 WHERE coalesce((SELECT count FROM everybody), 0) < $4
    ON CONFLICT (source) DO UPDATE SET
        since = CASE WHEN f.since > now() - make_interval(secs => $2) THEN f.since ELSE now() END,
        count = CASE WHEN f.since > now() - make_interval(secs => $2) THEN f.count + 1 ELSE 1 END
    RETURNING count, since
), all_together AS (
    INSERT INTO login_failures AS f (source, count)
    SELECT '*', 1 WHERE (SELECT count FROM one) <= $3
    ON CONFLICT (source) DO UPDATE SET
        since = CASE WHEN f.since > now() - make_interval(secs => $2) THEN f.since ELSE now() END,
        count = CASE WHEN f.since > now() - make_interval(secs => $2) THEN f.count + 1 ELSE 1 END
    RETURNING count, since
), found AS (
    SELECT (SELECT count FROM one) <= $3 AND (SELECT count FROM all_together) <= $4 AS is_admitted,
        coalesce(
            (SELECT since FROM one WHERE count > $3), (SELECT since FROM all_together WHERE count > $4), (SELECT since FROM everybody)
        ) AS since
)
SELECT coalesce(is_admitted, false) AS is_admitted,
    greatest(1, ceil(extract(epoch FROM coalesce(since, now()) + make_interval(secs => $2) - now())))::integer AS wait_s
FROM found
