-- Rows that the log does not account for, unless some of it was archived.
DELETE FROM calls AS c
WHERE (SELECT begins FROM log_head) = 0 AND NOT EXISTS (
    SELECT FROM streams AS s WHERE s.enterprise = c.enterprise AND s.stream = 'call/' || c.call AND s.version >= c.version
)
