WITH made AS (
    INSERT INTO checkpoints (name, position) VALUES ($1, 0) ON CONFLICT (name) DO NOTHING RETURNING position
)
SELECT position FROM made
UNION ALL
(SELECT position FROM checkpoints WHERE name = $1 FOR UPDATE SKIP LOCKED)
LIMIT 1
