-- The last click whose signature fitted, and the last that showed one that did not.
SELECT
    (SELECT signature FROM clicks WHERE enterprise = $1 AND signature NOT IN ('', 'absent', 'wrong') ORDER BY at_ms DESC LIMIT 1)
        AS fitted,
    (SELECT max(at_ms) FROM clicks WHERE enterprise = $1 AND signature NOT IN ('', 'absent', 'wrong')) AS fitted_ms,
    (SELECT signature FROM clicks WHERE enterprise = $1 ORDER BY at_ms DESC LIMIT 1) AS last,
    (SELECT max(at_ms) FROM clicks WHERE enterprise = $1) AS last_ms
