-- Without those that another instance is at right now, or has moved on from where our batch begins.
SELECT name FROM checkpoints WHERE name = ANY ($1::text[]) AND position = $2 FOR UPDATE SKIP LOCKED
