INSERT INTO login_failures AS f (source, count)
SELECT source, 1 FROM unnest($1::text[]) AS source ORDER BY source
ON CONFLICT (source) DO UPDATE SET
    since = CASE WHEN f.since > now() - make_interval(secs => $2) THEN f.since ELSE now() END,
    count = CASE WHEN f.since > now() - make_interval(secs => $2) THEN f.count + 1 ELSE 1 END
