-- Rows that the log does not account for, unless some of it was archived.
DELETE FROM clicks AS c
WHERE (SELECT begins FROM log_head) = 0 AND NOT EXISTS (
    SELECT FROM streams AS s WHERE s.enterprise = c.enterprise AND s.stream = 'click/' || c.click AND s.version >= c.version
)
