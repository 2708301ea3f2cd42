-- Nothing when another instance is at it right now, or has moved on from where our batch begins.
SELECT position FROM checkpoints WHERE name = $1 AND position = $2 FOR UPDATE SKIP LOCKED
