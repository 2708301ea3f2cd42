UPDATE checkpoints SET position = $2 WHERE name = ANY ($1::text[])
