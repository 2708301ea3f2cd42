SELECT position FROM checkpoints WHERE name = $1 FOR UPDATE
