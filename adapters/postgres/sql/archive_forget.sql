-- A page of streams after ($1, $2): those that ended before $3 are forgotten, with their lines in the index of calls and with what
-- stayed of them when an earlier month went. Where the page ended, and how many went.
WITH page AS (
    SELECT enterprise, stream FROM streams WHERE (enterprise, stream) > ($1, $2) ORDER BY enterprise, stream LIMIT 20000
), gone AS (
    DELETE FROM streams s USING page p
    WHERE s.enterprise = p.enterprise AND s.stream = p.stream AND s.last_ms < $3 AND s.due_ms IS NULL
    RETURNING s.enterprise, s.stream
), calls_gone AS (
    DELETE FROM calls c USING gone g WHERE c.enterprise = g.enterprise AND c.call = substr(g.stream, 6) AND g.stream LIKE 'call/%'
), rest_gone AS (
    DELETE FROM events_rest r USING gone g WHERE r.enterprise = g.enterprise AND r.stream = g.stream
)
SELECT p.enterprise, p.stream, (SELECT count(*) FROM gone) AS gone FROM page p ORDER BY 1 DESC, 2 DESC LIMIT 1
