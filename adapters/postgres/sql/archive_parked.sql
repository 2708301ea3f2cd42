-- Calls that began before $1 and need a person.
SELECT count(*) OVER () AS streams, c.enterprise, c.call AS stream
FROM calls c JOIN streams s ON s.enterprise = c.enterprise AND s.stream = 'call/' || c.call
WHERE c.parked <> '' AND s.first_ms < $1
ORDER BY c.enterprise, c.call LIMIT 3
